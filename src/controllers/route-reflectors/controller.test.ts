// The controller on the memory twins of both ports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../../base/clock.io.ts';
import { openLog } from '../../base/log.io.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { memoryKubernetes } from '../../kubernetes/memory.ts';
import { resourceKey } from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { parseSelector } from '../../model/selector/parse.ts';
import { DatastoreMirror } from '../datastore-mirror.io.ts';
import { reflectorController } from './controller.io.ts';
import { EVERY_NODE } from './decide.ts';
import { REFLECTOR_LABEL } from './gather.ts';

const PEER = resourceKey('bgppeers', 'calico-kit-route-reflectors');
const BGP = resourceKey('bgpconfigurations', 'default');

function world() {
  let stop = new AbortController();
  const store = memoryStore();
  const kubernetes = memoryKubernetes();
  const log = openLog('test', 'fatal');
  const spec = async (key: string): Promise<Record<string, unknown> | undefined> => {
    const item = await store.get(key);
    return item && (JSON.parse(item.value) as { spec: Record<string, unknown> }).spec;
  };
  return {
    store,
    kubernetes,
    spec,
    addNode(name: string, ip: string) {
      const spec = {
        bgp: { ipv4Address: `${ip}/24` },
        orchRefs: [{ orchestrator: 'k8s', nodeName: name }],
      };
      const node = { kind: 'Node', apiVersion: API_VERSION, metadata: { name }, spec };
      store.put(resourceKey('nodes', name), printResource(node));
      this.setNode(name, {});
    },
    setNode(
      name: string,
      { unschedulable = false, ready = true, labels = {} as Record<string, string> },
    ) {
      kubernetes.put('nodes', {
        metadata: { name, labels },
        spec: { unschedulable },
        status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
      });
    },
    start(
      perZone: number,
      { clock = systemClock, settleMilliseconds = 0, selector = 'all()' } = {},
    ) {
      stop.abort();
      stop = new AbortController();
      const { signal } = stop;
      const mirror = new DatastoreMirror();
      const parts = { store, mirror, clock, log, signal, kubernetes };
      const parsed = parseSelector(selector);
      assert.ok(parsed.ok);
      const more = { perZone, settleMilliseconds, wanted: parsed.value };
      const controller = reflectorController({ ...parts, ...more });
      mirror.follow(store, log, signal);
      return controller;
    },
    stop: () => stop.abort(),
    /** Resolves when the predicate holds after some write. */
    async until(holds: () => Promise<boolean>) {
      while (!(await holds())) await setImmediate();
    },
    async reflectors() {
      const { items } = await store.list('/calico/resources/v3/projectcalico.org/nodes/');
      return items.flatMap(({ value }) => {
        const { metadata, spec } = JSON.parse(value) as {
          metadata: { name: string; labels?: Record<string, string> };
          spec: { bgp: { routeReflectorClusterID?: string } };
        };
        const labelled = metadata.labels?.[REFLECTOR_LABEL] !== undefined;
        const id = spec.bgp.routeReflectorClusterID;
        return labelled || id ? [`${metadata.name} ${labelled} ${id}`] : [];
      });
    },
  };
}

test('reflectors come, one that is cordoned is replaced, and all go again', async () => {
  const w = world();
  for (const [i, name] of ['n1', 'n2', 'n3'].entries()) w.addNode(name, `10.0.0.${i + 1}`);
  const steps: string[] = [];
  w.store.watch(
    '/calico/resources/',
    {
      snapshot: () => {},
      changes: (changes) =>
        void steps.push(
          changes
            .map((c) =>
              (c.kind === 'put' ? c.item.key : `-${c.key}`).split('/').slice(-2).join('/'),
            )
            .toSorted()
            .join(' '),
        ),
    },
    new AbortController().signal,
  );
  w.start(1);
  await w.until(async () => (await w.spec(BGP))?.['nodeToNodeMeshEnabled'] === false);
  const [first] = await w.reflectors();
  const [name] = first!.split(' ');
  assert.equal(first, `${name} true 10.0.0.${name!.slice(1)}`);
  assert.deepEqual(await w.spec(PEER), {
    nodeSelector: 'all()',
    peerSelector: 'has(calico-kit.io/route-reflector)',
  });
  assert.deepEqual(steps, [
    `bgppeers/calico-kit-route-reflectors nodes/${name}`,
    `nodes/${name}`,
    'bgpconfigurations/default',
  ]);

  w.setNode(name!, { unschedulable: true });
  await w.until(async () => {
    const now = await w.reflectors();
    return now.length === 1 && !now[0]!.startsWith(`${name} `);
  });
  assert.equal((await w.spec(BGP))?.['nodeToNodeMeshEnabled'], false);

  w.start(0);
  await w.until(async () => (await w.spec(PEER)) === undefined);
  assert.deepEqual(await w.reflectors(), []);
  assert.equal((await w.spec(BGP))?.['nodeToNodeMeshEnabled'], true);
  w.stop();
});

test('a reflector that somebody else made is neither counted nor touched', async () => {
  const w = world();
  const bgp = { ipv4Address: '10.0.0.9/24', routeReflectorClusterID: '1.0.0.1' };
  const orchRefs = [{ orchestrator: 'k8s', nodeName: 'theirs' }];
  w.store.put(
    resourceKey('nodes', 'theirs'),
    printResource({
      kind: 'Node',
      apiVersion: API_VERSION,
      metadata: { name: 'theirs' },
      spec: { bgp, orchRefs },
    }),
  );
  w.setNode('theirs', {});
  w.addNode('n1', '10.0.0.1');
  w.start(1);
  await w.until(async () => (await w.spec(BGP))?.['nodeToNodeMeshEnabled'] === false);
  assert.deepEqual((await w.reflectors()).toSorted(), ['n1 true 10.0.0.1', 'theirs false 1.0.0.1']);
  w.stop();
});

test('off, and never used: nothing is written', async () => {
  const w = world();
  w.addNode('n1', '10.0.0.1');
  const before = w.store.calls.transaction;
  const controller = w.start(0);
  await w.until(async () => controller.problem === undefined);
  assert.equal(w.store.calls.transaction, before);
  assert.deepEqual(controller.failing, []);
  w.stop();
});

test('a look just before the settle time is over is followed by another', async () => {
  for (let step = 1; step < 10; step++) {
    const w = world();
    for (const [i, name] of ['n1', 'n2', 'n3'].entries()) w.addNode(name, `10.0.0.${i + 1}`);
    let now = 0;
    const clock = { ...systemClock, now: () => (now += step) };
    w.start(1, { clock, settleMilliseconds: 10 });
    await w.until(async () => (await w.spec(BGP))?.['nodeToNodeMeshEnabled'] === false);
    w.stop();
  }
});

test('the nodes with a label reflect, all of them, and follow the label', async () => {
  const w = world();
  for (const [i, name] of ['n1', 'n2', 'n3', 'n4'].entries()) w.addNode(name, `10.0.0.${i + 1}`);
  const labels = { 'example.com/reflector': '' };
  const names = async () => (await w.reflectors()).map((one) => one.split(' ')[0]).toSorted();
  const isMeshOff = async () => (await w.spec(BGP))?.['nodeToNodeMeshEnabled'] === false;
  w.setNode('n2', { labels });
  w.setNode('n4', { labels });
  w.start(EVERY_NODE, { selector: 'has(example.com/reflector)' });
  await w.until(isMeshOff);
  assert.deepEqual(await w.reflectors(), ['n2 true 10.0.0.2', 'n4 true 10.0.0.4']);

  w.setNode('n1', { labels });
  w.setNode('n2', {});
  await w.until(async () => (await names()).join() === 'n1,n4');
  // Without any that could take their place they stay, and so do routes.
  w.setNode('n1', {});
  await w.until(async () => (await names()).join() === 'n4');
  w.setNode('n4', {});
  await setImmediate();
  assert.deepEqual(await names(), ['n4']);
  assert.ok(await isMeshOff());
  w.stop();
});

test('no node with the label: nothing is written', async () => {
  const w = world();
  w.addNode('n1', '10.0.0.1');
  const before = w.store.calls.transaction;
  const controller = w.start(EVERY_NODE, { selector: 'has(example.com/reflector)' });
  await w.until(async () => controller.problem === undefined);
  assert.equal(w.store.calls.transaction, before);
  w.stop();
});
