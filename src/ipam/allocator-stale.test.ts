// What the allocator does when its view is behind, when half-done work of others lies in the store,
// and when the configuration says no.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { type MemoryStore, memoryStore } from '../datastore/memory.ts';
import type { Store, Watcher } from '../datastore/store.ts';
import { printIpam } from '../model/ipam.ts';
import { affinityKey, blockKey, handleKey, IPAM_CONFIG_KEY } from '../model/keys.ts';
import { type Cidr, cidr, contains } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { addPool, audited, open, request } from './allocator.cases.ts';
import type { Allocator, AssignRequest } from './allocator.io.ts';
import { assignOne, emptyBlock } from './block.ts';
import { fnv1 } from './claim/claim-order.ts';
import { freeBlocks } from './pools/free-blocks.ts';

/** A store whose watches tell nothing after the snapshot. */
const silent = (store: Store): Store => ({
  get: (key) => store.get(key),
  list: (prefix) => store.list(prefix),
  transaction: (compares, writes) => store.transaction(compares, writes),
  watch: (prefix, watcher: Watcher, signal) =>
    store.watch(prefix, { snapshot: (l) => watcher.snapshot(l), changes: () => {} }, signal),
  close: () => {},
});

async function ipOf(
  allocator: Allocator,
  handle: string,
  more: Partial<AssignRequest> = {},
): Promise<Ip> {
  const outcome = await allocator.assign(request(handle, more));
  assert.equal(outcome.kind, 'assigned', inspect(outcome));
  assert.ok(outcome.kind === 'assigned');
  return outcome.ips[0]!;
}

async function messageOf(allocator: Allocator, handle: string, more = {}): Promise<string> {
  const outcome = await allocator.assign(request(handle, more));
  assert.ok(outcome.kind === 'exhausted' || outcome.kind === 'refused', outcome.kind);
  return outcome.message;
}

async function world(blockSize = 30): Promise<MemoryStore> {
  const store = memoryStore();
  await addPool(store, '10.0.0.0/28', { blockSize });
  return store;
}

const ownedBlock = (block: Cidr, node: string) =>
  emptyBlock({ cidr: block, owner: `host:${node}`, claimedAt: 't', sequenceNumber: 7n });

test('a release asks the store about a handle that the view has not seen', async () => {
  const store = await world();
  const behind = await open(silent(store), 'a');
  const current = await open(store, 'a');
  const ip = await ipOf(current, 'n.1');
  assert.deepEqual(await behind.release({ handleId: 'n.1' }), { kind: 'released', ips: [ip] });
  assert.equal(await store.get(handleKey('n.1')), undefined);
  await audited(store);
});

test('a handle that was learned does not make an old copy of its block good', async () => {
  const store = await world();
  const current = await open(store, 'a');
  await ipOf(current, 'n.1');
  const behind = await open(silent(store), 'a'); // knows the block, but not what comes now
  const [second, third] = [await ipOf(current, 'n.2'), await ipOf(current, 'n.3')];
  assert.deepEqual(await behind.release({ handleId: 'n.2' }), { kind: 'released', ips: [second] });
  await audited(store);
  assert.equal(await ipOf(behind, 'n.3'), third);
  await audited(store);
});

test('a repeated ADD does not answer an address that was freed meanwhile', async () => {
  const store = await world();
  const behind = await open(silent(store), 'a');
  const current = await open(store, 'a');
  await ipOf(behind, 'n.1');
  await current.release({ handleId: 'n.1' });
  const ip = await ipOf(behind, 'n.1');
  assert.deepEqual(current.addressesOf('n.1'), [ip]);
  await audited(store);
});

test('a repeated ADD on a view that is behind keeps the one address', async () => {
  const store = await world();
  const full = await open(store, 'a');
  for (const n of [1, 2, 3, 4]) await ipOf(full, `n.${n}`);
  const behind = await open(silent(store), 'a');
  const fifth = await ipOf(full, 'n.5'); // a second block
  assert.equal(await ipOf(behind, 'n.5'), fifth);
  assert.deepEqual(await behind.release({ handleId: 'n.5' }), { kind: 'released', ips: [fifth] });
  await audited(store);
});

test('a failed transaction: who waited behind it is answered once, by what happened', async () => {
  const store = await world();
  const a = await open(store, 'a');
  await ipOf(a, 'n.0');
  store.failNext('transaction');
  const [first, second] = await Promise.all([a.assign(request('n.1')), a.assign(request('n.1'))]);
  assert.equal(first.kind, 'unavailable');
  assert.equal(second.kind === 'assigned', a.addressesOf('n.1').length > 0);
  await audited(store);
});

for (const state of [undefined, 'pending', 'pendingDeletion'] as const) {
  test(`an own block with affinity ${state} is completed before another is claimed`, async () => {
    const store = await world();
    const half = cidr('10.0.0.8/30');
    store.put(blockKey(half), printIpam(ownedBlock(half, 'a')));
    if (state) store.put(affinityKey('a', half), printIpam({ state, deleted: false }));
    const a = await open(store, 'a');
    assert.equal(await ipOf(a, 'n.1'), '10.0.0.8');
    assert.match((await store.get(affinityKey('a', half)))?.value ?? '', /"confirmed"/);
    await audited(store);
  });
}

test('a block that another node takes just before the claim stays with that node', async () => {
  const store = await world();
  const wanted = freeBlocks({ cidr: cidr('10.0.0.0/28'), blockSize: 30 }, []).first(fnv1('a'));
  assert.ok(wanted);
  let first = true;
  const a = await open(store, 'a', {
    failpoint: async (name) => {
      if (name !== 'ipam:before-claim' || !first) return;
      first = false;
      store.put(blockKey(wanted), printIpam(ownedBlock(wanted, 'b')));
      store.put(affinityKey('b', wanted), printIpam({ state: 'confirmed', deleted: false }));
      await store.get(wanted); // the watch has told by now
    },
  });
  const ip = await ipOf(a, 'n.1');
  assert.ok(!first && !contains(wanted, ip));
  await audited(store);
});

test('an affinity without block is no obstacle to claiming it', async () => {
  const store = await world(28);
  const only = cidr('10.0.0.0/28');
  store.put(affinityKey('a', only), printIpam({ state: 'pending', deleted: false }));
  const behind = await open(silent(store), 'a');
  store.delete(affinityKey('a', only));
  assert.equal(await ipOf(behind, 'n.1'), '10.0.0.0');
  await audited(store);
});

test('a claim that did not happen is not repeated blindly, and can be asked for again', async () => {
  const store = await world();
  const a = await open(store, 'a');
  store.failNext('transaction');
  assert.equal((await a.assign(request('n.1'))).kind, 'unavailable');
  await ipOf(a, 'n.1');
  await audited(store);
});

test('blocks never overlap, though the pool was made anew with another block size', async () => {
  const store = await world(30);
  const old = await open(store, 'b');
  const taken = [await ipOf(old, 'n.1')];
  await addPool(store, '10.0.0.0/28', { blockSize: 29 });
  const a = await open(store, 'a');
  for (let n = 0; n < 8; n++) taken.push(await ipOf(a, `m.${n}`));
  assert.equal(new Set(taken).size, 9);
  await audited(store);
});

test('a block that cannot be read is passed over', async () => {
  const store = await world(29);
  store.put(blockKey(cidr('10.0.0.0/29')), 'no JSON');
  const a = await open(store, 'a');
  assert.match(await ipOf(a, 'n.1'), /^10\.0\.0\.(8|9|1\d)$/);
  a.close();
});

test('a configuration without auto_allocate_blocks claims nothing; none at all does', async () => {
  const store = await world();
  store.put(IPAM_CONFIG_KEY, '{}');
  const a = await open(store, 'a');
  await messageOf(a, 'n.1');
  store.put(IPAM_CONFIG_KEY, '{"auto_allocate_blocks":true}');
  await ipOf(a, 'n.1');
  store.delete(IPAM_CONFIG_KEY);
  await ipOf(a, 'n.2');
  await audited(store);
});

test('strict affinity: nothing is borrowed, not even by name', async () => {
  const store = await world(28);
  store.put(IPAM_CONFIG_KEY, '{"strict_affinity":true,"auto_allocate_blocks":true}');
  const [a, b] = [await open(store, 'a'), await open(store, 'b')];
  const attributes = { node: 'a' };
  await ipOf(a, 'n.1', { attributes });
  assert.match(await messageOf(b, 'n.2'), /strict affinity/);
  const requested = '10.0.0.9' as Ip;
  assert.match(await messageOf(b, 'n.2', { requested: [requested] }), /belongs to host:a/);
  assert.equal(await ipOf(a, 'n.3', { requested: [requested], attributes }), requested);
  await audited(store);
});

test('a block that lost its owner goes with its last address, and can be claimed anew', async () => {
  const store = await world(28);
  store.put(IPAM_CONFIG_KEY, '{"strict_affinity":true,"auto_allocate_blocks":true}');
  const block = cidr('10.0.0.0/28');
  const { affinity_claim_time: _time, ...rest } = ownedBlock(block, 'gone');
  const orphan = assignOne({ ...rest, affinity: null }, { handle_id: 'n.1' }).block;
  store.put(blockKey(block), printIpam(orphan));
  const counts = { [block]: 1 };
  store.put(handleKey('n.1'), printIpam({ block: counts, deleted: false }));
  const a = await open(store, 'a');
  assert.match(await messageOf(a, 'n.2'), /strict affinity/);
  await a.release({ handleId: 'n.1' });
  assert.equal(await store.get(blockKey(block)), undefined);
  assert.equal(await ipOf(a, 'n.2', { attributes: { node: 'a' } }), '10.0.0.0');
  await audited(store);
});

test('maxBlocksPerHost ends the search without borrowing', async () => {
  const store = await world(30);
  const config = { strict_affinity: true, auto_allocate_blocks: true, maxBlocksPerHost: 1 };
  store.put(IPAM_CONFIG_KEY, printIpam(config));
  const a = await open(store, 'a');
  for (const n of [1, 2, 3, 4]) await ipOf(a, `n.${n}`, { attributes: { node: 'a' } });
  assert.match(await messageOf(a, 'n.5'), /per host block limit \(1\)/);
  await audited(store);
});

test('a handle whose block no longer holds it is forgotten by release', async () => {
  const store = await world();
  const block = cidr('10.0.0.0/30');
  const other = assignOne(ownedBlock(block, 'a'), { handle_id: 'n.2' }).block;
  store.put(blockKey(block), printIpam(other));
  store.put(affinityKey('a', block), printIpam({ state: 'confirmed', deleted: false }));
  const counts = { [block]: 1 };
  store.put(handleKey('n.2'), printIpam({ block: counts, deleted: false }));
  store.put(handleKey('n.1'), printIpam({ block: counts, deleted: false }));
  const a = await open(store, 'a');
  assert.deepEqual(await a.release({ handleId: 'n.1' }), { kind: 'released', ips: [] });
  await audited(store);
});
