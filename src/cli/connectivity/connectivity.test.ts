// The connectivity test against an API server that answers as a cluster would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubernetesObjects } from '../../kubernetes/objects.io.ts';
import type { Made, TestPod } from './objects.ts';
import type { ProbeAnswer } from './plan.ts';
import { runTest } from './run.io.ts';

const ready = (type = 'True') => [{ type: 'Ready', status: type }];
const pod = (app: string, node: string, ip: string): TestPod => ({
  metadata: { name: `${app}-${node}`, labels: { app } },
  spec: { nodeName: node },
  status: { podIPs: [{ ip }], conditions: ready() },
});
const PODS = [
  pod('probe', 'n1', '10.0.0.1'),
  pod('probe', 'n2', '10.0.1.1'),
  pod('guarded', 'n1', '10.0.0.2'),
];

interface Cluster {
  /** Addresses that nobody reaches. */
  readonly dead?: readonly string[];
  /** Big packets vanish. */
  readonly narrow?: boolean;
  /** Policies are not obeyed. */
  readonly lax?: boolean;
  readonly unready?: readonly string[];
}

function cluster({ dead = [], narrow = false, lax = false, unready = [] }: Cluster = {}) {
  const made: Made[] = [];
  const removed: string[] = [];
  const calicoNode = (node: string): TestPod => ({
    ...pod('calico-node', node, '10.9.9.9'),
    status: { conditions: ready(unready.includes(node) ? 'False' : 'True') },
  });
  const isDenied = (): boolean =>
    made.some(({ path }) => path.endsWith('/networkpolicies')) &&
    !removed.some((path) => path.endsWith('/networkpolicies/guarded'));
  const probe = (query: URLSearchParams): ProbeAnswer => {
    const to = query.get('to')!;
    const stopped = isDenied() && !lax && to === '10.0.0.2';
    const ok = !dead.includes(to) && !stopped && !(narrow && query.get('path') === '/bulk');
    return { ok, words: ok ? '3 bytes' : 'no answer', ms: 2 };
  };
  const answer = (path: string): object | undefined => {
    if (path.includes('k8s-app%3Dcalico-node')) return { items: ['n1', 'n2'].map(calicoNode) };
    if (path.endsWith('/daemonsets/probe'))
      return { status: { desiredNumberScheduled: 2, numberReady: 2 } };
    if (path.endsWith('/deployments/guarded')) return { status: { readyReplicas: 1 } };
    if (path.endsWith('/services/probe')) return { spec: { clusterIPs: ['10.96.0.5'] } };
    if (path.endsWith('/pods')) return { items: PODS };
    return probe(new URL(path, 'http://x').searchParams);
  };
  const api: KubernetesObjects = {
    get: async <T>(path: string) => answer(path) as T | undefined,
    create: async (path, object) => void made.push({ path, object }),
    remove: async (path) => void removed.push(path),
  };
  return { api, made, removed };
}

async function tested(of: Cluster) {
  const { api, removed } = cluster(of);
  const { lines, failed } = await runTest(api, {
    namespace: 'test-1',
    image: 'image',
    pullSecrets: [],
    timeoutSeconds: 5,
    say: () => {},
  });
  assert.equal(removed.at(-1), '/api/v1/namespaces/test-1', 'nothing is left');
  return { lines: lines.map((line) => line.replace(/ in \d+ s$/, '')), failed };
}

test('a network that works', async () => {
  assert.deepEqual(await tested({}), {
    lines: [
      'ok    calico-node ready on every node: 2 nodes',
      'ok    pod to pod: 4 calls, slowest 2 ms',
      'ok    pod to pod, big packets: 4 calls, slowest 2 ms',
      'ok    pod to service: 2 calls, slowest 2 ms',
      'ok    policy denies: 2 calls stopped',
      'ok    policy gone: 2 calls, slowest 2 ms',
      'all 6 checks passed',
    ],
    failed: false,
  });
});

test('a node that nobody reaches, by its name', async () => {
  const { lines, failed } = await tested({ dead: ['10.0.1.1'] });
  assert.equal(failed, true);
  assert.equal(lines[1], 'FAIL  pod to pod: 1 of 4\n      n1 -> 10.0.1.1 on n2: no answer');
});

test('packets that are too big', async () => {
  const { lines } = await tested({ narrow: true });
  assert.match(lines[1]!, /^ok/);
  assert.match(lines[2]!, /^FAIL {2}pod to pod, big packets: 4 of 4/);
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
  const { lines, failed } = await runTest(refusing, {
    ...{ namespace: 'test-1', image: 'i', pullSecrets: [], timeoutSeconds: 1, say: () => {} },
  });
  assert.equal(failed, true);
  assert.match(lines[1]!, /^FAIL {2}test: forbidden/);
  assert.deepEqual(removed, ['/api/v1/namespaces/test-1']);
});
