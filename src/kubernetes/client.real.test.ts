// The client over real HTTPS: the shared cases, and the troubles that a watch must survive.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { eventually } from '../../test/lab/command.ts';
import { type FakeApiServer, startFakeApiServer } from '../../test/lab/fake-api-server.ts';
import { apiCases } from './api.cases.ts';
import type { KubernetesApi, Namespace, Pod } from './api.ts';
import { kubernetesApi, openKubernetes } from './client.io.ts';
import { inClusterCredentials } from './connection.io.ts';

const namespace = (name: string, team = ''): Namespace => ({
  metadata: { name, labels: { team } },
});

describe('client', () => {
  let server: FakeApiServer;
  let api: KubernetesApi;
  beforeEach(async () => {
    server = await startFakeApiServer();
    const { hostname, port } = new URL(server.url);
    const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
    api = kubernetesApi(inClusterCredentials(env, server.account));
  });
  const stops: AbortController[] = [];
  afterEach(() => {
    for (const stop of stops.splice(0)) stop.abort();
    server.close();
  });

  apiCases('client', () => ({
    api,
    put: (kind, object) => server.put(kind, object),
    remove: (kind, name, space) => server.remove(kind, name, space),
  }));

  /** A watch of namespaces and what it said. */
  function follow() {
    const seen: string[] = [];
    const states: string[] = [];
    const stop = new AbortController();
    stops.push(stop);
    const text = ({ metadata }: Namespace): string =>
      `${metadata.name}=${metadata.labels?.['team']}`;
    api.watch(
      'namespaces',
      {
        snapshot: (all) => void seen.push(['snapshot', ...all.map(text)].join(' ')),
        put: (one) => void seen.push(`put ${text(one)}`),
        gone: (one) => void seen.push(`gone ${text(one)}`),
        connection: (up, error) => void states.push(up ? 'up' : (error?.message ?? 'down')),
      },
      { signal: stop.signal },
    );
    return { seen, states };
  }

  test('a VM: by its VirtualMachine or its VirtualMachineInstance; without KubeVirt none', async () => {
    assert.equal(await api.hasMachine('x', 'db'), false);
    const path = (kind: string) => `GET /apis/kubevirt.io/v1/namespaces/x/${kind}/db`;
    const both = [path('virtualmachines'), path('virtualmachineinstances')];
    assert.deepEqual(server.requests, both);
    server.answerNext(200, '{}');
    assert.equal(await api.hasMachine('x', 'db'), true);
    assert.deepEqual(server.requests, [...both, both[0]]);
    server.answerNext(404, '{}');
    server.answerNext(200, '{}');
    assert.equal(await api.hasMachine('x', 'db'), true);
    server.answerNext(500, '{}');
    await assert.rejects(api.hasMachine('x', 'db'));
  });

  test('a warning of a node: an event as kubectl describe node looks for it', async () => {
    await api.warnOfNode('n1', { reason: 'MTUMismatch', message: 'too large' });
    const { path, body } = server.posts[0]!;
    assert.equal(path, '/api/v1/namespaces/default/events');
    const { involvedObject, ...event } = body as Record<string, unknown>;
    assert.deepEqual(involvedObject, { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'n1' });
    assert.deepEqual(event['metadata'], { generateName: 'n1.', namespace: 'default' });
    assert.deepEqual(
      [event['type'], event['reason'], event['message'], event['count']],
      ['Warning', 'MTUMismatch', 'too large', 1],
    );
  });

  const watchesAre = (count: number) =>
    eventually(`${count} watches`, () => server.watches === count || undefined);

  for (const how of ['end', 'break'] as const) {
    test(`client: a watch goes on where it was after an ${how} of the connection`, async () => {
      server.put('namespaces', namespace('a', '1'));
      const watch = follow();
      await watchesAre(1);
      server.put('namespaces', namespace('b', '1'));
      await eventually('b', () => watch.seen.length === 2);
      server.endWatches(how);
      server.put('namespaces', namespace('b', '2'));
      server.remove('namespaces', 'a');
      await eventually('what was missed', () => watch.seen.length === 4);
      assert.deepEqual(watch.seen, ['snapshot a=1', 'put b=1', 'put b=2', 'gone a=1']);
    });
  }

  for (const form of ['status', 'event'] as const) {
    test(`client: history that is gone (410 as ${form}) gives the snapshot again`, async () => {
      server.put('namespaces', namespace('a', '1'));
      const watch = follow();
      await watchesAre(1);
      server.endWatches('end');
      server.remove('namespaces', 'a');
      server.put('namespaces', namespace('c', '1'));
      server.compact(form);
      await eventually('second snapshot', () => watch.seen.length >= 2);
      assert.equal(watch.seen.at(-1), 'snapshot c=1');
    });
  }

  test('client: a bookmark moves the point of resume', async () => {
    const watch = follow();
    await watchesAre(1);
    server.put('nodes', { metadata: { name: 'elsewhere' } });
    server.compact('status');
    server.bookmark(); // sent before the end of the watch, so it arrives before it
    server.endWatches('end');
    await watchesAre(1);
    assert.deepEqual(watch.seen, ['snapshot']);
  });

  test('client: a long list comes in pages', async () => {
    const names = Array.from({ length: 1201 }, (_, i) => `ns-${i}`);
    for (const name of names) server.put('namespaces', namespace(name));
    const before = server.requests.length;
    const watch = follow();
    await watchesAre(1);
    assert.equal(watch.seen[0]?.split(' ').length, names.length + 1);
    const lists = server.requests.slice(before).filter((path) => path.includes('limit='));
    assert.equal(lists.length, 3);
  });

  for (const [what, status, body, said] of [
    ['an answer that is no list', 200, '{}', /no list/],
    ['an answer that is no JSON', 200, '<html>', /JSON/],
    ['a refusal', 403, '{"message":"namespaces is forbidden"}', /forbidden/],
  ] as const) {
    test(`client: ${what} is said and is no empty snapshot`, async () => {
      server.put('namespaces', namespace('a', '1'));
      server.answerNext(status, body);
      const watch = follow();
      await eventually('the trouble and its end', () => watch.states.length === 2);
      assert.deepEqual(watch.seen, ['snapshot a=1']);
      assert.match(watch.states[0] ?? '', said);
      assert.equal(watch.states[1], 'up');
    });
  }

  test('client: the token that the kubelet rotated is read when the old one is refused', async () => {
    assert.equal(await api.getNode('none'), undefined);
    server.rotateToken('second');
    await assert.rejects(api.getNode('none'), /Unauthorized/);
    assert.equal(await api.getNode('none'), undefined);
  });

  test('client: an outage is said once per reason, and its end once', async () => {
    const watch = follow();
    await watchesAre(1);
    await eventually('up', () => watch.states.length === 1);
    for (let i = 0; i < 3; i++) server.answerNext(503, '{"message":"shutting down"}');
    server.endWatches('break');
    await watchesAre(1);
    await eventually('up again', () => watch.states.at(-1) === 'up');
    assert.deepEqual(watch.states, [
      'up',
      'watch /api/v1/namespaces: aborted',
      'GET /api/v1/namespaces: shutting down',
      'up',
    ]);
    assert.deepEqual(watch.seen, ['snapshot']);
  });

  test('client: only the fields that are used are kept', async () => {
    const extra = { managedFields: [{ manager: 'x' }] };
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', kept: 'yes' };
    const pod = {
      metadata: { name: 'fat', namespace: 'default', ...extra, annotations },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], volumes: [] },
      status: { podIP: '10.0.0.1', conditions: [] },
    };
    server.put('pods', pod as Pod);
    const { metadata, ...rest } = (await api.getPod('default', 'fat'))!;
    assert.deepEqual(rest, {
      spec: { nodeName: 'n1', containers: [{ name: 'c' }] },
      status: { podIP: '10.0.0.1' },
    });
    assert.deepEqual(metadata.annotations, { kept: 'yes' });
    assert.equal('managedFields' in metadata, false);
  });

  test('client: a kubeconfig serves as well', async () => {
    const fromFile = await openKubernetes({ KUBECONFIG: server.kubeconfig });
    server.put('nodes', { metadata: { name: 'n1' } });
    assert.equal((await fromFile.getNode('n1'))?.metadata.name, 'n1');
  });
});
