// The connectivity test against an API server that answers as a cluster would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubernetesObjects } from '../../kubernetes/objects.io.ts';
import { type Answer, type Call, type Order, POLICY, SERVICE, type TestPod } from './objects.ts';
import { runTest } from './run.io.ts';

interface Cluster {
  /** Addresses that nobody reaches. */
  readonly dead?: readonly string[];
  /** Big packets vanish. */
  readonly narrow?: boolean;
  /** Policies are not obeyed. */
  readonly lax?: boolean;
  readonly unready?: readonly string[];
}

const NODES = ['n1', 'n2'];
const ready = (status = 'True') => ({ conditions: [{ type: 'Ready', status }] });
const REGISTRY = {
  metadata: { name: 'registry' },
  type: 'kubernetes.io/dockerconfigjson',
  data: { '.dockerconfigjson': 'e30=' },
};

interface MadePod extends TestPod {
  readonly spec: {
    readonly nodeName: string;
    readonly containers: [{ env?: [{ value: string }] }];
  };
}

function cluster({ dead = [], narrow = false, lax = false, unready = [] }: Cluster = {}) {
  const pods: MadePod[] = [];
  const removed: string[] = [];
  const secrets = new Map([['/api/v1/namespaces/kube-system/secrets/registry', REGISTRY]]);
  let isGuarded = false;
  const calicoNode = (nodeName: string): TestPod => ({
    metadata: { name: `calico-node-${nodeName}` },
    spec: { nodeName },
    status: ready(unready.includes(nodeName) ? 'False' : 'True'),
  });
  const addressOf = ({ metadata: { name } }: TestPod): string =>
    name === 'guarded' ? '10.0.0.9' : `10.0.0.${name.replace(/\D/g, '')}`;
  const running = (pod: MadePod): TestPod => ({
    ...pod,
    status: { ...ready(), phase: 'Succeeded', podIPs: [{ ip: addressOf(pod) }] },
  });
  const called = (call: Call, stopped: boolean): Answer => {
    const { to, path } = call;
    const isStopped = stopped && !lax && to === '10.0.0.9';
    const ok = !dead.includes(to) && !isStopped && !(narrow && path === '/bulk');
    return { call, ok, words: ok ? '3 bytes' : 'no answer', ms: 2 };
  };
  const logs = new Map<string, string>();
  const answer = (path: string): object | undefined => {
    if (path.includes('k8s-app%3Dcalico-node')) return { items: NODES.map(calicoNode) };
    if (path === '/api/v1/nodes')
      return { items: NODES.map((name) => ({ metadata: { name }, status: ready() })) };
    if (path.includes('/secrets/')) return secrets.get(path);
    if (path.endsWith(`/services/${SERVICE}`)) return { spec: { clusterIPs: ['10.96.0.5'] } };
    return { items: pods.map(running) };
  };
  const api: KubernetesObjects = {
    get: async <T>(path: string) => answer(path) as T | undefined,
    text: async (path) => logs.get(path) ?? '',
    create: async (path, object) => {
      if (path.endsWith('/networkpolicies')) isGuarded = true;
      if (path.endsWith('/secrets')) {
        const secret = object as typeof REGISTRY;
        secrets.set(`${path}/${secret.metadata.name}`, secret);
      }
      if (!path.endsWith('/pods')) return;
      const pod = object as MadePod;
      pods.push(pod);
      const text = pod.spec.containers[0].env?.[0].value;
      if (!text) return;
      const { calls } = JSON.parse(text) as Order;
      const answers = calls.map((call) => called(call, isGuarded));
      logs.set(`${path}/${pod.metadata.name}/log`, `${JSON.stringify(answers)}\n`);
    },
    remove: async (path) => {
      const name = path.split('/pods/')[1];
      if (name) pods.splice(pods.findIndex(({ metadata }) => metadata.name === name) >>> 0, 1);
      if (path.endsWith(`/networkpolicies/${POLICY}`)) isGuarded = false;
      secrets.delete(path);
      removed.push(path);
    },
  };
  return { api, removed, secrets, pods };
}

const RUN = {
  namespace: 'test-1',
  image: 'image',
  pullSecrets: [],
  keepNamespace: false,
  timeoutSeconds: 1,
  nodesMax: 10,
  say: () => {},
};

async function tested(of: Cluster) {
  const { api, removed } = cluster(of);
  const { lines, failed } = await runTest(api, RUN);
  assert.equal(removed.at(-1), '/api/v1/namespaces/test-1', 'nothing is left');
  return { lines: lines.map((line) => line.replace(/ in \d+ s$/, '')), failed };
}

test('a network that works', async () => {
  assert.deepEqual(await tested({}), {
    lines: [
      'ok    calico-node ready on every node: 2 nodes',
      'ok    pod to pod: 6 calls, slowest 2 ms',
      'ok    pod to pod, big packets: 6 calls, slowest 2 ms',
      'ok    pod to service: 2 calls, slowest 2 ms',
      'ok    policy denies: 2 calls stopped',
      'ok    policy gone: 2 calls, slowest 2 ms',
      'all 6 checks passed',
    ],
    failed: false,
  });
});

test('a node that nobody reaches, by its name', async () => {
  const { lines, failed } = await tested({ dead: ['10.0.0.1'] });
  assert.equal(failed, true);
  const calls = NODES.map((node) => `\n      ${node} -> 10.0.0.1 on n2: no answer`);
  assert.equal(lines[1], `FAIL  pod to pod: 2 of 6${calls.join('')}`);
});

test('packets that are too big', async () => {
  const { lines } = await tested({ narrow: true });
  assert.match(lines[1]!, /^ok/);
  assert.match(lines[2]!, /^FAIL {2}pod to pod, big packets: 6 of 6/);
});

test('an agent that is not ready', async () => {
  const { lines } = await tested({ unready: ['n2'] });
  assert.match(lines[0]!, /^FAIL {2}calico-node ready on every node: not on n2/);
});

test('the namespace goes although the API server refuses an object', async () => {
  const { api, removed } = cluster();
  const refusing: KubernetesObjects = {
    ...api,
    create: async (path, object) => {
      if (path.endsWith('/services')) throw new Error('forbidden');
      await api.create(path, object);
    },
  };
  const { lines, failed } = await runTest(refusing, RUN);
  assert.equal(failed, true);
  assert.match(lines[1]!, /^FAIL {2}test: forbidden/);
  assert.deepEqual(removed, ['/api/v1/namespaces/test-1']);
});

test('policies that nobody obeys', async () => {
  const { lines } = await tested({ lax: true });
  assert.match(lines[4]!, /^FAIL {2}policy denies: 2 of 2/);
});

test('an API server that fails now and then', async () => {
  const { api } = cluster();
  let calls = 0;
  const failing: KubernetesObjects = {
    ...api,
    get: async (path) => {
      if (calls++ % 2 === 0 && path.endsWith('/pods')) throw new Error('socket hang up');
      return api.get(path);
    },
  };
  const { failed, lines } = await runTest(failing, { ...RUN, timeoutSeconds: 5 });
  assert.equal(failed, false, lines.join('\n'));
});

test('what an earlier run left is taken away first', async () => {
  const { api, removed } = cluster();
  const run = { ...RUN, keepNamespace: true };
  await api.create(`/api/v1/namespaces/${run.namespace}/pods`, {
    metadata: { name: 'server-0', labels: { 'calico-kit.io/connectivity': 'server' } },
    spec: { nodeName: 'n1', containers: [{}] },
  });
  const { failed } = await runTest(api, run);
  assert.equal(failed, false);
  assert.equal(removed.filter((path) => path.endsWith('/pods/server-0')).length, 2);
});

test('in a namespace that is there already, only what was made is taken away', async () => {
  const { api, removed } = cluster();
  await runTest(api, { ...RUN, keepNamespace: true });
  assert.equal(removed.includes('/api/v1/namespaces/test-1'), false);
  const pods = removed.filter((path) => path.includes('/pods/'));
  assert.equal(pods.length, 3 + 3 * NODES.length);
});

test('pull secrets of kube-system are copied for the pods, and only copies go again', async () => {
  const { api, removed, secrets } = cluster();
  const made: { readonly type: string; readonly data: object; readonly metadata: object }[] = [];
  const watched: KubernetesObjects = {
    ...api,
    create: async (path, object) => {
      if (path.endsWith('/secrets')) made.push(object as (typeof made)[0]);
      if (path.endsWith('/pods')) {
        const { spec } = object as { spec: { imagePullSecrets: object } };
        assert.deepEqual(spec.imagePullSecrets, [{ name: 'registry' }, { name: 'own' }]);
      }
      await api.create(path, object);
    },
  };
  const own = '/api/v1/namespaces/test-1/secrets/own';
  secrets.set(own, { ...REGISTRY, metadata: { name: 'own' } });
  const run = { ...RUN, keepNamespace: true, pullSecrets: ['registry', 'own'] };
  const { failed, lines } = await runTest(watched, run);
  assert.equal(failed, false, lines.join('\n'));
  assert.deepEqual(
    made.map(({ type, data, metadata }) => ({ type, data, metadata })),
    [
      {
        type: REGISTRY.type,
        data: REGISTRY.data,
        metadata: {
          name: 'registry',
          namespace: 'test-1',
          labels: { 'calico-kit.io/connectivity': 'pull-secret' },
        },
      },
    ],
  );
  assert.ok(removed.includes('/api/v1/namespaces/test-1/secrets/registry'));
  assert.ok(secrets.has(own), 'what a user has put there stays');
});

test('a pull secret that nobody has is named', async () => {
  const { api } = cluster();
  const { lines, failed } = await runTest(api, { ...RUN, pullSecrets: ['nowhere'] });
  assert.equal(failed, true);
  assert.match(lines[1]!, /copy pull secret nowhere: there is none in kube-system/);
});
