import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type MemoryStore, memoryStore } from '../datastore/memory.ts';
import { printIpam } from '../model/ipam.ts';
import { HANDLE_PREFIX, handleKey, IPAM, IPAM_CONFIG_KEY } from '../model/keys.ts';
import { addPool, allocatorCases, audited, open, request, scenarioOn } from './allocator.cases.ts';
import { blockLifeCases } from './block-life.cases.ts';
import { foreignDataCases } from './foreign-data.cases.ts';
import { keptAddressCases } from './kept-address.cases.ts';
import { poolChoiceCases } from './pool-choice.cases.ts';

const scenario = scenarioOn('memory', async () => memoryStore());
allocatorCases(scenario);
poolChoiceCases(scenario);
blockLifeCases(scenario);
keptAddressCases(scenario);
foreignDataCases(scenario);

test('a common ADD is one transaction; waiting ones share the next', async () => {
  const store = memoryStore();
  await addPool(store, '10.0.0.0/16');
  const a = await open(store, 'a');
  await a.assign(request('n.first'));
  const before = store.calls.transaction;
  await a.assign(request('n.second'));
  assert.equal(store.calls.transaction, before + 1);
  await Promise.all(Array.from({ length: 20 }, (_, i) => a.assign(request(`n.${i}`))));
  assert.ok(
    store.calls.transaction <= before + 3,
    `${store.calls.transaction - before} transactions`,
  );
});

test('a lost reply: the effect is exactly once', async () => {
  const store = memoryStore();
  await addPool(store, '10.0.0.0/24');
  const a = await open(store, 'a');
  store.failNext('transaction', 'lostReply'); // the claim
  assert.equal((await a.assign(request('n.1'))).kind, 'assigned');
  store.failNext('transaction', 'lostReply'); // the assignment
  assert.equal((await a.assign(request('n.2'))).kind, 'assigned');
  store.failNext('transaction', 'lostReply'); // the release
  assert.equal((await a.release({ handleId: 'n.1' })).kind, 'released');
  store.failNext('transaction');
  assert.equal((await a.assign(request('n.3'))).kind, 'unavailable');
  assert.deepEqual(
    (await store.list(HANDLE_PREFIX)).items.map((i) => i.key),
    [`${HANDLE_PREFIX}n.2`],
  );
  await audited(store);
});

test('a lost reply: a kept address is the next asker’s exactly when that was stored', async () => {
  for (const fault of ['lostReply', 'unreachable'] as const) {
    const store = memoryStore();
    await addPool(store, '10.0.0.0/24');
    const [a, b] = [await open(store, 'a'), await open(store, 'b')];
    const kept = (node: string) => request('n.x-db-0', { keep: true, attributes: { node } });
    await a.assign(kept('a'));
    store.failNext('transaction', fault);
    const outcome = await b.assign(kept('b'));
    const stored = (await store.list(IPAM)).items[0]!.value;
    assert.match(stored, outcome.kind === 'assigned' ? /"node":"b"/ : /"node":"a"/, fault);
    assert.equal(outcome.kind, fault === 'lostReply' ? 'assigned' : 'unavailable');
    await audited(store);
  }
});

/** Three quarters of the one own block are taken: what was stored besides the addresses? */
async function blocksAfterThree(store: MemoryStore): Promise<number> {
  const a = await open(store, 'a');
  for (const n of [1, 2, 3]) {
    const outcome = await a.assign(request(`n.${n}`, { attributes: { node: 'a' } }));
    assert.equal(outcome.kind, 'assigned');
  }
  for (let tick = 0; tick < 50; tick++) await Promise.resolve();
  a.close();
  return (await store.list(`${IPAM}assignment/`)).items.length;
}

test('no block is claimed ahead at the limit, by order, out of a scarce pool or at its end', async () => {
  const strict = { strict_affinity: true, auto_allocate_blocks: true };
  const worlds: readonly [number, string, object, object | undefined][] = [
    [2, '10.0.0.0/27', {}, undefined],
    [2, '10.0.0.0/27', {}, strict],
    [1, '10.0.0.0/27', {}, { ...strict, maxBlocksPerHost: 1 }],
    [1, '10.0.0.0/30', {}, undefined],
  ];
  for (const [blocks, range, spec, config] of worlds) {
    const store = memoryStore();
    await addPool(store, range, { blockSize: 30, ...spec });
    if (config) store.put(IPAM_CONFIG_KEY, printIpam(config));
    assert.equal(await blocksAfterThree(store), blocks, `${range} ${printIpam(config ?? {})}`);
    await audited(store);
  }
  const scarce = memoryStore();
  await addPool(scarce, '10.0.0.0/27', { blockSize: 30 });
  for (let n = 1; n < 7; n++) {
    const other = await open(scarce, `other${n}`);
    await other.assign(request(`other.${n}`));
    other.close();
  }
  assert.equal(await blocksAfterThree(scarce), 7, 'the last eighth of the pool is left');
});

test('by order nobody claims: not ahead either', async () => {
  const store = memoryStore();
  await addPool(store, '10.0.0.0/27', { blockSize: 30 });
  const a = await open(store, 'a');
  await a.assign(request('n.first'));
  await a.release({ handleId: 'n.first' });
  a.close();
  store.put(IPAM_CONFIG_KEY, printIpam({ strict_affinity: true }));
  assert.equal(await blocksAfterThree(store), 1);
});

test('violations: a node sees what is wrong in its own blocks, borrowed addresses included', async () => {
  const store = memoryStore();
  await addPool(store, '10.0.0.0/29', { blockSize: 30 });
  const [a, b] = [await open(store, 'a'), await open(store, 'b')];
  const of = (node: string) => ({ attributes: { node } });
  for (let n = 0; n < 4; n++) await a.assign(request(`n.a${n}`, of('a')));
  for (let n = 0; n < 4; n++) await b.assign(request(`n.b${n}`, of('b')));
  await a.release({ handleId: 'n.a0' });
  await b.assign(request('n.borrowed', of('b')));
  const leaks = (node: typeof a) => node.violations([]).map((text) => text.split(' ').at(-1));
  assert.deepEqual(leaks(a), ['n.a1', 'n.a2', 'n.a3'], 'no endpoint: I3 of its own pods alone');
  assert.deepEqual(leaks(b), ['n.b0', 'n.b1', 'n.b2', 'n.b3', 'n.borrowed']);
  store.put(handleKey('n.borrowed'), printIpam({ block: {}, deleted: false }));
  await store.get('a turn of the event loop');
  for (const node of [a, b]) assert.match(node.violations([]).join(), /^I5: .*n\.borrowed/);
});

class Crash extends Error {}

test('a crash at any store call: no duplicate, nothing leaks after release', async () => {
  for (let crashAt = 0; crashAt < 6; crashAt++) {
    const store: MemoryStore = memoryStore();
    await addPool(store, '10.0.0.0/28', { blockSize: 30 });
    let calls = 0;
    const dying = await open(store, 'a', {
      failpoint: () => {
        if (calls++ === crashAt) throw new Crash();
      },
    });
    await dying.assign(request('n.dead'));
    dying.close();
    const next = await open(store, 'a');
    const living = await next.assign(request('n.live'));
    const dead = next.addressesOf('n.dead');
    assert.ok(living.kind === 'assigned' && !dead.includes(living.ips[0]!), `crash at ${crashAt}`);
    assert.equal((await next.release({ handleId: 'n.dead' })).kind, 'released');
    assert.deepEqual(
      [...next.handles().keys()].filter((h) => h === 'n.dead'),
      [],
    );
    await audited(store);
    next.close();
  }
});

test('random operations of three nodes with lost replies keep every invariant', async () => {
  const operation = fc.record({
    node: fc.integer({ min: 0, max: 2 }),
    handle: fc.integer({ min: 0, max: 11 }),
    release: fc.boolean(),
    fault: fc.constantFrom('none', 'none', 'none', 'lostReply', 'unreachable'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 40 }), async (operations) => {
      const store = memoryStore();
      await addPool(store, '10.0.0.0/27', { blockSize: 30 });
      const nodes = await Promise.all(['a', 'b', 'c'].map((node) => open(store, node)));
      for (let at = 0; at < operations.length; at += 4) {
        await Promise.all(
          operations.slice(at, at + 4).map(async ({ node, handle, release, fault }) => {
            if (fault === 'lostReply' || fault === 'unreachable')
              store.failNext('transaction', fault);
            const handleId = `n.${node}x${handle}`;
            await (release
              ? nodes[node]!.release({ handleId })
              : nodes[node]!.assign(request(handleId)));
          }),
        );
        await audited(store);
      }
      for (const node of nodes) node.close();
    }),
    { numRuns: 60 },
  );
});
