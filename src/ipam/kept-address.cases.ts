// A kept address moves with its endpoint: on any datastore, in one transaction.
import assert from 'node:assert/strict';
import type { Store } from '../datastore/store.ts';
import { namespacedKey } from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import { workloadEndpointName } from '../model/workload-endpoint.ts';
import type { Ip } from '../net/ip.ts';
import { addPool, audited, open, request, type scenarioOn } from './allocator.cases.ts';
import type { AssignRequest } from './allocator.io.ts';

export const endpointKey = (node: string, pod: string, endpoint = 'eth0'): string =>
  namespacedKey(
    'workloadendpoints',
    'x',
    workloadEndpointName({ node, orchestrator: 'k8s', workload: pod, endpoint }),
  );

/** What a node asks for its StatefulSet's pod: the address and, with it, the endpoint. */
export function keptOn(node: string, timestamp: string, pod = 'db-0'): AssignRequest {
  const key = endpointKey(node, pod);
  return request(`net.x-${pod}`, {
    keep: true,
    attributes: { node, pod, namespace: 'x', timestamp },
    alongside: (ips) => ({
      compares: [],
      writes: [{ kind: 'put', key, value: endpointOf(node, pod, ips) }],
    }),
  });
}

/** What a node asks for a VM's pod. */
const machineOn = (node: string, pod: string, machine = 'db'): AssignRequest => ({
  ...keptOn(node, 't', pod),
  handleId: `net.vmi.x.${machine}`,
  attributes: { node, pod, namespace: 'x', timestamp: pod, 'vmi-name': machine },
});

const endpointOf = (node: string, pod: string, ips: readonly Ip[]): string =>
  printResource({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name: pod, namespace: 'x' },
    spec: {
      orchestrator: 'k8s',
      node,
      pod,
      endpoint: 'eth0',
      ipNetworks: ips.map((ip) => `${ip}/32`),
    },
  });

/** The store with something that happens once, just before the first transaction. */
function before(store: Store, happens: () => Promise<unknown>): Store {
  let pending: (() => Promise<unknown>) | undefined = happens;
  return {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    watch: (prefix, watcher, signal) => store.watch(prefix, watcher, signal),
    close: () => {},
    transaction: async (compares, writes) => {
      const now = pending;
      pending = undefined;
      await now?.();
      return store.transaction(compares, writes);
    },
  };
}

export function keptAddressCases(scenario: ReturnType<typeof scenarioOn>): void {
  scenario(
    'a kept address moves: the former node’s endpoint goes in the same transaction',
    async (store) => {
      await addPool(store, '10.20.0.0/24');
      const [a, b] = [await open(store, 'a'), await open(store, 'b')];
      const other = endpointKey('a', 'db-0-x');
      const second = endpointKey('a', 'db-0', 'net1');
      const unread = endpointKey('a', 'db-0', 'net2');
      for (const key of [other, second])
        await store.transaction(
          [],
          [{ kind: 'put', key, value: endpointOf('a', 'db-0', ['10.99.0.1' as Ip]) }],
        );
      await store.transaction([], [{ kind: 'put', key: unread, value: '{' }]);
      assert.equal((await a.assign(keptOn('a', 't1'))).kind, 'assigned');
      assert.ok(await store.get(endpointKey('a', 'db-0')));
      const moved = await b.assign(keptOn('b', 't2'));
      assert.ok(moved.kind === 'assigned');
      assert.equal(await store.get(endpointKey('a', 'db-0')), undefined);
      assert.equal((await store.get(endpointKey('b', 'db-0')))?.revision, moved.revision);
      for (const key of [other, second, unread])
        assert.ok(await store.get(key), `${key} has nothing to do with it`);
      for (const key of [other, second, unread])
        await store.transaction([], [{ kind: 'delete', key }]);
      const back = await a.assign(keptOn('a', 't3'));
      assert.ok(back.kind === 'assigned');
      assert.deepEqual(back.ips, moved.ips);
      assert.equal(await store.get(endpointKey('b', 'db-0')), undefined);
      await audited(store);
    },
  );

  scenario('a kept address moves: the former endpoint changes meanwhile', async (store) => {
    await addPool(store, '10.21.0.0/24');
    const a = await open(store, 'a');
    const first = await a.assign(keptOn('a', 't1'));
    assert.ok(first.kind === 'assigned');
    const key = endpointKey('a', 'db-0');
    const value = `${endpointOf('a', 'db-0', first.ips)} `;
    const touched = before(store, () => store.transaction([], [{ kind: 'put', key, value }]));
    const b = await open(touched, 'b');
    assert.equal((await b.assign(keptOn('b', 't2'))).kind, 'assigned');
    assert.equal(await store.get(key), undefined);
    await audited(store);
  });

  scenario('a kept address moves twice at once: one endpoint is left', async (store) => {
    await addPool(store, '10.22.0.0/24');
    const a = await open(store, 'a');
    await a.assign(keptOn('a', 't1'));
    const c = await open(store, 'c');
    const b = await open(
      before(store, () => c.assign(keptOn('c', 't2'))),
      'b',
    );
    const moved = await b.assign(keptOn('b', 't3'));
    assert.ok(moved.kind === 'assigned');
    for (const node of ['a', 'c'])
      assert.equal(await store.get(endpointKey(node, 'db-0')), undefined);
    assert.deepEqual(b.addressesOf('net.x-db-0'), moved.ips);
    assert.ok(await store.get(endpointKey('b', 'db-0')));
    await audited(store);
  });

  scenario('a kept address moves while its former node takes it up again', async (store) => {
    await addPool(store, '10.24.0.0/24');
    const a = await open(store, 'a');
    await a.assign(keptOn('a', 't1'));
    const key = endpointKey('a', 'db-0');
    await store.transaction([], [{ kind: 'delete', key }]); // DEL: the address stays
    const b = await open(
      before(store, () => a.assign(keptOn('a', 't2'))),
      'b',
    );
    assert.equal((await b.assign(keptOn('b', 't3'))).kind, 'assigned');
    assert.equal(await store.get(key), undefined);
    await audited(store);
  });

  scenario(
    'a kept address is no other pod’s, though that asks under the same name',
    async (store) => {
      await addPool(store, '10.25.0.0/24');
      const [a, b] = [await open(store, 'a'), await open(store, 'b')];
      assert.equal((await a.assign(keptOn('a', 't1'))).kind, 'assigned');
      const stranger = { node: 'b', pod: '0', namespace: 'x-db', timestamp: 't2' };
      const outcome = await b.assign({ ...keptOn('b', 't2'), attributes: stranger });
      assert.equal(
        outcome.kind === 'refused' && outcome.message,
        'net.x-db-0 keeps an address for pod x/db-0, not for x-db/0',
      );
      assert.ok(await store.get(endpointKey('a', 'db-0')));
      await audited(store);
    },
  );

  scenario('a VM’s address goes from pod to pod, on one node and to another', async (store) => {
    await addPool(store, '10.26.0.0/24');
    const [a, b] = [await open(store, 'a'), await open(store, 'b')];
    const first = await a.assign(machineOn('a', 'launcher-1'));
    const restarted = await a.assign(machineOn('a', 'launcher-2'));
    assert.ok(first.kind === 'assigned' && restarted.kind === 'assigned');
    assert.deepEqual(restarted.ips, first.ips);
    assert.equal(await store.get(endpointKey('a', 'launcher-1')), undefined);
    assert.ok(await store.get(endpointKey('a', 'launcher-2')));
    const moved = await b.assign(machineOn('b', 'launcher-3'));
    assert.ok(moved.kind === 'assigned');
    assert.deepEqual(moved.ips, first.ips);
    assert.equal(await store.get(endpointKey('a', 'launcher-2')), undefined);
    const other = await b.assign(machineOn('b', 'launcher-4', 'other'));
    assert.ok(other.kind === 'assigned');
    assert.notDeepEqual(other.ips, first.ips);
    const stranger = machineOn('a', 'launcher-5', 'other');
    const refused = await a.assign({ ...stranger, handleId: 'net.vmi.x.db' });
    assert.equal(
      refused.kind === 'refused' && refused.message,
      'net.vmi.x.db keeps an address for VM x/db, not for x/other',
    );
    await audited(store);
  });

  scenario('a kept address moves out of a batch: two pods at once', async (store) => {
    await addPool(store, '10.23.0.0/24');
    const [a, b] = [await open(store, 'a'), await open(store, 'b')];
    const pods = ['db-0', 'db-1'];
    const all = (node: typeof a, name: string) =>
      Promise.all(pods.map((pod) => node.assign(keptOn(name, 't', pod))));
    for (const outcome of [...(await all(a, 'a')), ...(await all(b, 'b'))])
      assert.equal(outcome.kind, 'assigned');
    for (const pod of pods) {
      assert.equal(await store.get(endpointKey('a', pod)), undefined);
      assert.ok(await store.get(endpointKey('b', pod)));
    }
    await audited(store);
  });
}
