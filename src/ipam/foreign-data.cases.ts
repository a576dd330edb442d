// Data in Calico's shape by another hand: fields that older writers left out are missing, fields that
// we do not know are there. It is read for what it means, and what we do not know outlives our writes.
import assert from 'node:assert/strict';
import { parseJson } from '../base/json.ts';
import type { Store } from '../datastore/store.ts';
import { affinityKey, blockKey, handleKey, IPAM, IPAM_CONFIG_KEY } from '../model/keys.ts';
import { cidr } from '../net/cidr.ts';
import { addPool, assigned, audited, open, type Scenario } from './allocator.cases.ts';

const RANGE = cidr('10.60.0.0/29');
const FREE = [3, 4, 5, 6, 7];

const put = (store: Store, key: string, value: string): Promise<unknown> =>
  store.transaction([], [{ kind: 'put', key, value }]);

async function stored(store: Store, key: string): Promise<Record<string, unknown>> {
  const item = await store.get(key);
  assert.ok(item, key);
  return parseJson(item.value) as Record<string, unknown>;
}

/** Two pods' addresses, the second of a virtual machine with a second owner, one address at rest. */
const foreign = (more: object): string =>
  JSON.stringify({
    cidr: RANGE,
    allocations: [0, 1, 2, ...FREE.map(() => null)],
    unallocated: FREE,
    attributes: [
      { handle_id: 'k8s-pod-network.old\r', secondary: { node: 'a', pod: 'p', namespace: 'd' } },
      {
        handle_id: 'k8s-pod-network.vm',
        secondary: { node: 'a' },
        alternateOwnerAttrs: { node: 'b' },
        future: { deep: [1] },
      },
      { handle_id: null, secondary: null },
    ],
    deleted: false,
    ...more,
  });

async function handles(store: Store): Promise<void> {
  for (const id of ['k8s-pod-network.old', 'k8s-pod-network.vm'])
    await put(store, handleKey(id), `{"block":{"${RANGE}":1},"deleted":false,"note":"n"}`);
}

export function foreignDataCases(scenario: Scenario): void {
  scenario(
    'an old block: no sequence numbers, owner in hostAffinity, empty affinity',
    async (store) => {
      await addPool(store, '10.60.0.0/24', { blockSize: 29 });
      await put(store, affinityKey('a', RANGE), ''); // legacy: confirmed
      await put(store, blockKey(RANGE), foreign({ hostAffinity: 'a' }));
      await handles(store);
      const a = await open(store, 'a');
      assert.deepEqual(a.addressesOf('k8s-pod-network.old'), ['10.60.0.0']);
      assert.equal(await assigned(a, 'n.new', { attributes: { node: 'a' } }), '10.60.0.3');
      const block = await stored(store, blockKey(RANGE));
      assert.equal(block['affinity'], 'host:a');
      assert.equal(block['sequenceNumber'], 1);
      assert.deepEqual(block['sequenceNumberForAllocation'], { 3: 0 });
      const freed = await a.release({ handleId: 'k8s-pod-network.old' });
      assert.deepEqual(freed, { kind: 'released', ips: ['10.60.0.0'] });
      const { unallocated } = await stored(store, blockKey(RANGE));
      assert.deepEqual(unallocated, [4, 5, 6, 7, 0], 'to the tail');
      assert.equal(await store.get(handleKey('k8s-pod-network.old')), undefined);
    },
  );

  scenario(
    'fields of tomorrow in block, attributes and handle outlive our writes',
    async (store) => {
      await addPool(store, '10.60.0.0/24', { blockSize: 29 });
      await put(store, affinityKey('a', RANGE), '{"state":"confirmed","deleted":false,"later":1}');
      const more = {
        affinity: 'host:a',
        sequenceNumber: 7,
        sequenceNumberForAllocation: { 0: 5, 1: 6, 2: 6 },
        future: { big: 1, list: ['x'] },
      };
      await put(store, blockKey(RANGE), foreign(more));
      await handles(store);
      const a = await open(store, 'a');
      await assigned(a, 'k8s-pod-network.new', { attributes: { node: 'a' } });
      await a.release({ handleId: 'k8s-pod-network.old' });
      const block = await stored(store, blockKey(RANGE));
      assert.deepEqual(block['future'], more.future);
      const [vm] = (block['attributes'] as Record<string, unknown>[]).filter(
        (attribute) => attribute['handle_id'] === 'k8s-pod-network.vm',
      );
      assert.deepEqual(vm?.['alternateOwnerAttrs'], { node: 'b' });
      assert.deepEqual(vm?.['future'], { deep: [1] });
      const again = await a.assign({
        handleId: 'k8s-pod-network.vm',
        attributes: { node: 'a' },
        count4: 1,
        count6: 0,
        alongside: () => ({ compares: [], writes: [] }),
      });
      assert.deepEqual(again.kind === 'assigned' && again.ips, ['10.60.0.1'], 'it has its address');
      assert.equal((await stored(store, handleKey('k8s-pod-network.vm')))['note'], 'n');
      assert.equal((await stored(store, affinityKey('a', RANGE)))['later'], 1);
    },
  );

  scenario(
    'a configuration with unknown keys counts; without auto_allocate_blocks none is claimed',
    async (store) => {
      await addPool(store, '10.61.0.0/24', { blockSize: 29 });
      await put(store, IPAM_CONFIG_KEY, '{"strict_affinity":false,"future":true}');
      const a = await open(store, 'a');
      const none = await a.assign({
        handleId: 'n.1',
        attributes: { node: 'a' },
        count4: 1,
        count6: 0,
        alongside: () => ({ compares: [], writes: [] }),
      });
      assert.equal(none.kind, 'exhausted');
      await put(store, IPAM_CONFIG_KEY, '{"auto_allocate_blocks":true,"future":true}');
      const b = await open(store, 'b');
      await assigned(b, 'n.2', { attributes: { node: 'b' } });
      assert.equal((await store.list(`${IPAM}assignment/`)).items.length, 1);
      await audited(store);
    },
  );
}
