// A block's life on any datastore: claimed ahead of need, resting addresses, taken over when idle,
// given back when its pool no longer selects the node, and what others left half-done.
import assert from 'node:assert/strict';
import type { Clock } from '../base/clock.ts';
import type { KeyValue, Store } from '../datastore/store.ts';
import { parseBlock, printIpam } from '../model/ipam.ts';
import { affinityKey, affinityPrefix, blockKey, handleKey, IPAM } from '../model/keys.ts';
import { cidr } from '../net/cidr.ts';
import { addNode, addPool, assigned, open, type Scenario } from './allocator.cases.ts';
import { emptyBlock } from './block.ts';
import { configure, refusal } from './pool-choice.cases.ts';

const STRICT = { strict_affinity: true, auto_allocate_blocks: true };
const BLOCKS = `${IPAM}assignment/`;

/** A wall clock that a test moves. */
class TestClock implements Clock {
  private time = Date.parse('2026-01-01T00:00:00Z');
  now = (): number => this.time;
  date = (): Date => new Date(this.time);
  pass(seconds: number): void {
    this.time += seconds * 1000;
  }
}

/** Resolves when what is stored under the prefix satisfies. */
export async function until(
  store: Store,
  prefix: string,
  satisfies: (items: readonly KeyValue[]) => boolean,
): Promise<void> {
  const stop = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      const look = (): void =>
        void store.list(prefix).then(({ items }) => satisfies(items) && resolve(), reject);
      store.watch(prefix, { snapshot: look, changes: look }, stop.signal);
    });
  } finally {
    stop.abort();
  }
}

const ofNode = (node: string) => ({ attributes: { node } });

async function storeBlock(store: Store, value: object, path: string): Promise<void> {
  await store.transaction([], [{ kind: 'put', key: path, value: printIpam(value as never) }]);
}

function restCases(scenario: Scenario): void {
  scenario('a freed address rests for ipCooldownSeconds, for every node', async (store) => {
    await addPool(store, '10.40.0.0/30', { blockSize: 30 });
    await configure(store, { auto_allocate_blocks: true, ipCooldownSeconds: 60 });
    const clock = new TestClock();
    const a = await open(store, 'a', { clock });
    const ips = [];
    for (let n = 0; n < 4; n++) ips.push(await assigned(a, `n.${n}`));
    await a.release({ handleId: 'n.1' });
    clock.pass(1);
    await a.release({ handleId: 'n.0' });
    const key = blockKey(cidr('10.40.0.0/30'));
    const stored = parseBlock((await store.get(key))?.value ?? '');
    assert.ok(stored.ok);
    assert.deepEqual(stored.value.attributes.slice(2), [
      { releasedAt: '2026-01-01T00:00:00.000Z' },
      { releasedAt: '2026-01-01T00:00:01.000Z' },
    ]);
    assert.deepEqual(stored.value.unallocated, []);
    assert.equal(await store.get(handleKey('n.1')), undefined);
    const b = await open(store, 'b', { clock });
    assert.match(await refusal(b), /No IPs available/);
    clock.pass(59);
    assert.equal(await assigned(a, 'n.5'), ips[1], 'the longest rested');
    assert.match(await refusal(a), /No IPs available/);
    clock.pass(1);
    const c = await open(store, 'c', { clock });
    assert.equal(await assigned(c, 'n.6'), ips[0]);
  });

  scenario('the end of the cooldown ends the rest at once', async (store) => {
    await addPool(store, '10.41.0.0/32', { blockSize: 32 });
    await configure(store, { auto_allocate_blocks: true, ipCooldownSeconds: 1200 });
    const a = await open(store, 'a');
    const ip = await assigned(a, 'n.1');
    await a.release({ handleId: 'n.1' });
    assert.match(await refusal(a), /No IPs available/);
    await configure(store, { auto_allocate_blocks: true });
    const again = await open(store, 'a');
    assert.equal(await assigned(again, 'n.2'), ip);
  });
}

function ownershipCases(scenario: Scenario): void {
  scenario('an idle block is taken over when no other is left; not a new one', async (store) => {
    await addPool(store, '10.42.0.0/29', { blockSize: 30 });
    await configure(store, STRICT);
    const clock = new TestClock();
    const a = await open(store, 'a', { clock });
    for (let n = 0; n < 5; n++) await assigned(a, `n.${n}`, ofNode('a'));
    for (let n = 0; n < 4; n++) await a.release({ handleId: `n.${n}` });
    clock.pass(59);
    const b = await open(store, 'b', { clock });
    assert.match(await refusal(b), /strict affinity enabled/);
    clock.pass(1);
    await assigned(b, 'm.1', ofNode('b'));
    assert.equal((await store.list(affinityPrefix('a'))).items.length, 1);
    const taken = (await store.list(BLOCKS)).items.find(({ value }) => value.includes('host:b'));
    assert.match(taken?.value ?? '', /"affinity_claim_time":"2026-01-01T00:01:00.000Z"/);
    for (let n = 0; n < 3; n++) await assigned(a, `l.${n}`, ofNode('a'));
    assert.match(await refusal(a), /strict affinity enabled/);
    await assigned(b, 'm.2', ofNode('b'));
  });

  scenario(
    'an empty block of a pool that no longer selects the node is given back',
    async (store) => {
      const clock = new TestClock();
      await addPool(store, '10.43.0.0/24', { nodeSelector: 'rack == "1"' });
      await addNode(store, 'a', { rack: '1' });
      const a = await open(store, 'a', { clock });
      await assigned(a, 'n.1');
      clock.pass(60);
      await addNode(store, 'a', { rack: '2' });
      const next = await open(store, 'a', { clock });
      for (let n = 0; n < 3; n++) await next.release({ handleId: 'n.unknown' });
      const used = (await store.list(BLOCKS)).items.map(({ value }) => value).join();
      assert.match(used, /"affinity":"host:a"/, 'it is in use');
      await next.release({ handleId: 'n.1' });
      await until(store, IPAM, (items) => items.length === 0);
    },
  );

  scenario(
    'a pool that was asked for by name: no second block ahead, the first a minute',
    async (store) => {
      const clock = new TestClock();
      await addPool(store, '10.47.0.0/24', { nodeSelector: '!all()', blockSize: 30 }, 'named');
      const a = await open(store, 'a', { clock });
      for (let n = 0; n < 3; n++) await assigned(a, `n.${n}`, { pools4: ['named'] });
      for (let n = 0; n < 3; n++) await a.release({ handleId: `n.${n}` });
      for (let n = 0; n < 3; n++) await a.release({ handleId: 'n.unknown' });
      assert.equal((await store.list(BLOCKS)).items.length, 1);
      clock.pass(60);
      await a.release({ handleId: 'n.unknown' });
      await until(store, IPAM, (items) => items.length === 0);
    },
  );

  scenario(
    'the next block is claimed when three quarters of the own ones are used',
    async (store) => {
      await addPool(store, '10.44.0.0/27', { blockSize: 30 });
      const a = await open(store, 'a');
      for (let n = 0; n < 2; n++) await assigned(a, `n.${n}`);
      assert.equal((await store.list(BLOCKS)).items.length, 1);
      await assigned(a, 'n.2');
      await until(store, BLOCKS, (items) => items.length === 2);
    },
  );

  scenario('a node owns at most 20 blocks, and then does not borrow', async (store) => {
    await addPool(store, '10.45.0.0/26', { blockSize: 32 });
    const a = await open(store, 'a');
    for (let n = 0; n < 20; n++) await assigned(a, `n.${n}`);
    assert.equal(
      await refusal(a),
      'exhausted: cannot allocate new block due to per host block limit (20)',
    );
  });
}

function halfStateCases(scenario: Scenario): void {
  const block = cidr('10.46.0.0/30');
  const owned = emptyBlock({
    cidr: block,
    owner: 'host:a',
    claimedAt: '2026-01-01T00:00:00Z',
    sequenceNumber: 7n,
  });

  scenario(
    'a block of old spelling is its node’s: hostAffinity, an empty affinity',
    async (store) => {
      await addPool(store, '10.46.0.0/24', { blockSize: 30 });
      const { affinity: _, affinity_claim_time: _time, ...rest } = owned;
      await storeBlock(
        store,
        { ...rest, hostAffinity: 'a', extra: { kept: true } },
        blockKey(block),
      );
      const key = affinityKey('a', block);
      await store.transaction([], [{ kind: 'put', key, value: '' }]);
      const a = await open(store, 'a');
      assert.equal(await assigned(a, 'n.1'), '10.46.0.0');
      const stored = (await store.get(blockKey(block)))?.value ?? '';
      assert.match(stored, /"extra":\{"kept":true\}.*"affinity":"host:a"/);
    },
  );

  scenario('an affinity without block gets its block before another is claimed', async (store) => {
    await addPool(store, '10.46.0.0/24', { blockSize: 30 });
    await storeBlock(store, { state: 'pending', deleted: false }, affinityKey('a', block));
    const a = await open(store, 'a');
    assert.equal(await assigned(a, 'n.1'), '10.46.0.0');
  });

  scenario('affinities that mean nothing are removed', async (store) => {
    await addPool(store, '10.46.0.0/24', { blockSize: 30 });
    await storeBlock(store, { ...owned, affinity: 'host:b' }, blockKey(block));
    const other = affinityKey('a', cidr('10.46.0.4/30'));
    await storeBlock(store, { state: 'confirmed', deleted: false }, affinityKey('b', block));
    await storeBlock(store, { state: 'pending', deleted: false }, affinityKey('a', block));
    await storeBlock(store, { state: 'pendingDeletion', deleted: false }, other);
    const a = await open(store, 'a');
    await assigned(a, 'n.1');
    await assigned(a, 'n.2');
    await until(store, affinityPrefix('a'), (items) => items.length === 1);
    assert.ok(await store.get(affinityKey('b', block)));
  });
}

export function blockLifeCases(scenario: Scenario): void {
  restCases(scenario);
  ownershipCases(scenario);
  halfStateCases(scenario);
}
