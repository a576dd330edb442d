// From EndpointSlices in the API server to set members on a node, live.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../base/clock.io.ts';
import { openLog } from '../base/log.io.ts';
import { memoryStore } from '../datastore/memory.ts';
import { memoryKubernetes } from '../kubernetes/memory.ts';
import { namespacedKey, RESOURCES } from '../model/keys.ts';
import { PolicyCalculator } from '../policy/calculate.ts';
import { PolicyFeed } from '../policy/feed.ts';
import { runWhole } from '../policy/run-whole.ts';
import { DatastoreMirror } from './datastore-mirror.io.ts';
import { serviceEndpointsController } from './service-endpoints.io.ts';

const settled = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await setImmediate();
};

const slice = (name: string, service: string, addresses: readonly string[]) => ({
  metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': service } },
  addressType: 'IPv4',
  endpoints: [{ addresses }],
  ports: [{ protocol: 'TCP', port: 80 }],
});

test('members follow the slices of services that policies name; others are not stored', async () => {
  const stop = new AbortController();
  const store = memoryStore();
  const kubernetes = memoryKubernetes();
  const log = openLog('test', 'fatal');
  const mirror = new DatastoreMirror();
  const calculator = new PolicyCalculator({
    node: 'node1',
    settings: { endpointToHostAction: 'RETURN', ipipEnabled: false },
    nodeAddress: () => undefined,
  });
  const feed = new PolicyFeed(calculator, 'node1');
  store.watch(
    RESOURCES,
    {
      snapshot: ({ items }) => runWhole(feed.snapshot(items)),
      changes: (changes) => void feed.changes(changes),
      connection: () => undefined,
    },
    stop.signal,
  );
  const members = async (): Promise<readonly string[]> => {
    await settled();
    const sets = [...calculator.of(4).desired().ipSets.values()];
    return [...(sets.find(({ meta }) => meta.name.includes('svc:'))?.members ?? ['no set'])].sort();
  };
  const slices = async (): Promise<number> =>
    (await store.list(`${RESOURCES}kubernetesendpointslices/`)).items.length;
  const metadata = { name: 'x', labels: { 'projectcalico.org/namespace': 'shop' } };
  const put = (path: string, kind: string, spec: object): void =>
    void store.put(RESOURCES + path, JSON.stringify({ kind, metadata, spec }));
  const stale = namespacedKey('kubernetesendpointslices', 'shop', 'stale');
  store.put(stale, JSON.stringify({ kind: 'KubernetesEndpointSlice', metadata: { name: 's' } }));
  const endpoint = { node: 'node1', interfaceName: 'cali1', ipNetworks: ['10.0.0.9/32'] };
  put('workloadendpoints/shop/node1-k8s-a-eth0', 'WorkloadEndpoint', endpoint);
  kubernetes.put('endpointslices', slice('web-1', 'web', ['10.0.0.1']));
  kubernetes.put('endpointslices', slice('db-1', 'db', ['10.0.0.2']));
  const parts = { store, kubernetes, mirror, clock: systemClock, log, signal: stop.signal };
  const controller = serviceEndpointsController(parts);
  mirror.follow(store, log, stop.signal);
  assert.deepEqual(await members(), ['no set']);
  assert.equal(await slices(), 0, 'what no policy asks for is not kept');
  const egress = [{ action: 'Allow', destination: { services: { name: 'web' } } }];
  put('networkpolicies/shop/p', 'NetworkPolicy', { types: ['Egress'], egress });
  assert.deepEqual(await members(), ['10.0.0.1,tcp:80']);
  assert.equal(await slices(), 1);
  kubernetes.put('endpointslices', slice('web-2', 'web', ['10.0.0.3']));
  assert.deepEqual(await members(), ['10.0.0.1,tcp:80', '10.0.0.3,tcp:80']);
  kubernetes.put('endpointslices', slice('web-1', 'web', ['10.0.0.4']));
  assert.deepEqual(await members(), ['10.0.0.3,tcp:80', '10.0.0.4,tcp:80']);
  kubernetes.remove('endpointslices', 'web-2', 'shop');
  assert.deepEqual(await members(), ['10.0.0.4,tcp:80']);
  kubernetes.put('endpointslices', slice('web-1', 'other', ['10.0.0.4']));
  assert.deepEqual(await members(), []);
  assert.equal(await slices(), 0);
  kubernetes.put('endpointslices', slice('web-1', 'web', ['10.0.0.5']));
  assert.deepEqual(await members(), ['10.0.0.5,tcp:80']);
  store.delete(`${RESOURCES}networkpolicies/shop/p`);
  await settled();
  assert.equal(await slices(), 0, 'nor is what no policy asks for any more');
  assert.equal(controller.problem, undefined);
  assert.deepEqual(controller.failing, []);
  stop.abort();
});
