// Death at every named place, in every kind of work: the next process of the node, and the other
// nodes, find a sound store and go on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../base/clock.ts';
import { OpError } from '../base/op-error.ts';
import { type MemoryStore, memoryStore } from '../datastore/memory.ts';
import { addNode, addPool, audited, open, request } from './allocator.cases.ts';
import type { Allocator } from './allocator.io.ts';
import { mortal } from './chaos.cases.ts';
import { endpointKey, keptOn } from './kept-address.cases.ts';
import { configure } from './pool-choice.cases.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const clockAt = (seconds: number): Clock => ({
  now: () => seconds * 1000,
  date: () => new Date(START + seconds * 1000),
});

/** Lets what was started without waiting for it go on until it needs nothing more. */
const settled = async (): Promise<void> => {
  for (let tick = 0; tick < 50; tick++) await Promise.resolve();
};

interface Death {
  /** Place -> how often it was passed. */
  readonly passed: Map<string, number>;
  /** Dies there. */
  readonly place: string | undefined;
  readonly time: number;
}

async function dying(store: MemoryStore, death: Death, seconds: number): Promise<Allocator> {
  let dead = false;
  const process = mortal(store, Number.POSITIVE_INFINITY, async () => {
    if (dead) throw new OpError('store', 'the process is dead');
  });
  return open(process, 'a', {
    clock: clockAt(seconds),
    failpoint: (name) => {
      const time = (death.passed.get(name) ?? 0) + 1;
      death.passed.set(name, time);
      if (name === death.place && time === death.time) dead = true;
      if (dead) throw new OpError(name, 'the process is dead');
    },
  });
}

const keep = { keep: true, attributes: { node: 'a', pod: 'db-0', namespace: 'x' } };

// Faults that the dead did not meet are met by nobody else.
async function absorb(store: MemoryStore): Promise<void> {
  for (let n = 0; n < 2; n++) await store.transaction([], []).catch(() => {});
}

// Fills a block, claims ahead, loses a reply, frees, keeps an address, takes over, gives back.
async function life(store: MemoryStore, death: Death): Promise<void> {
  await addPool(store, '10.0.0.0/28', { blockSize: 30, nodeSelector: 'rack == "1"' });
  await addNode(store, 'a', { rack: '1' });
  await addNode(store, 'b', { rack: '1' });
  await configure(store, { auto_allocate_blocks: true, ipCooldownSeconds: 5 });
  const idle = await open(store, 'b', { clock: clockAt(0) });
  for (let n = 0; n < 5; n++) await idle.assign(request(`b.${n}`));
  for (let n = 0; n < 5; n++) await idle.release({ handleId: `b.${n}` });
  idle.close();
  const a = await dying(store, death, 100);
  await a.assign(request('a.kept', keep));
  for (let n = 0; n < 5; n++) await a.assign(request(`a.${n}`));
  store.failNext('transaction', 'lostReply');
  await a.assign(request('a.5'));
  await settled();
  for (let n = 6; n < 12; n++) await a.assign(request(`a.${n}`));
  store.failNext('transaction', 'lostReply');
  for (let n = 0; n < 12; n++) await a.release({ handleId: `a.${n}` });
  a.close();
  await absorb(store);
  await addNode(store, 'a', { rack: '2' });
  const later = await dying(store, death, 300);
  await later.release({ handleId: 'a.0' });
  await settled();
  later.close();
}

async function afterwards(store: MemoryStore, what: string): Promise<void> {
  await audited(store);
  await addNode(store, 'a', { rack: '1' });
  const [a, b] = [
    await open(store, 'a', { clock: clockAt(1000) }),
    await open(store, 'b', { clock: clockAt(1000) }),
  ];
  for (let n = 0; n < 12; n++) {
    const outcome = await a.release({ handleId: `a.${n}` });
    assert.equal(outcome.kind, 'released', what);
  }
  const [mine, theirs] = [await a.assign(request('a.new')), await b.assign(request('b.new'))];
  assert.ok(mine.kind === 'assigned' && theirs.kind === 'assigned', what);
  assert.notDeepEqual(mine.ips, theirs.ips, what);
  const before = a.addressesOf('a.kept');
  const kept = await b.assign(
    request('a.kept', { ...keep, attributes: { ...keep.attributes, node: 'b' } }),
  );
  assert.ok(kept.kind === 'assigned', what);
  if (before.length > 0) assert.deepEqual(kept.ips, before, what);
  await settled();
  await audited(store);
  for (const allocator of [a, b]) allocator.close();
}

test('death at every failpoint, each time it is passed', async () => {
  const whole: Death = { passed: new Map(), place: undefined, time: 0 };
  const store = memoryStore();
  await life(store, whole);
  await afterwards(store, 'nobody died');
  assert.deepEqual([...whole.passed.keys()].sort(), [
    'ipam:after-claim',
    'ipam:after-commit',
    'ipam:after-give-back',
    'ipam:before-claim',
    'ipam:before-commit',
    'ipam:before-give-back',
    'ipam:before-move',
    'ipam:before-prefetch',
    'ipam:before-read-back',
  ]);
  for (const [place, times] of whole.passed) {
    for (let time = 1; time <= times; time++) {
      const world = memoryStore();
      await life(world, { passed: new Map(), place, time });
      await afterwards(world, `death at ${place}, time ${time}`);
    }
  }
});

test('death while a kept address moves: it is on one node, and its endpoint with it', async () => {
  const move = async (death: Death): Promise<MemoryStore> => {
    const store = memoryStore();
    await addPool(store, '10.0.0.0/28', { blockSize: 30 });
    const b = await open(store, 'b');
    assert.equal((await b.assign(keptOn('b', 't1'))).kind, 'assigned');
    store.failNext('transaction', 'lostReply');
    const a = await dying(store, death, 100);
    await a.assign(keptOn('a', 't2'));
    for (const allocator of [a, b]) allocator.close();
    await absorb(store);
    return store;
  };
  const whole: Death = { passed: new Map(), place: undefined, time: 0 };
  await move(whole);
  assert.deepEqual(
    [...whole.passed.keys()],
    ['ipam:before-move', 'ipam:before-commit', 'ipam:before-read-back', 'ipam:after-commit'],
  );
  for (const place of whole.passed.keys()) {
    const store = await move({ passed: new Map(), place, time: 1 });
    const left = async (): Promise<readonly boolean[]> =>
      Promise.all(
        ['a', 'b'].map(async (node) => Boolean(await store.get(endpointKey(node, 'db-0')))),
      );
    const moved = !['ipam:before-move', 'ipam:before-commit'].includes(place);
    assert.deepEqual(await left(), [moved, !moved], place);
    await audited(store);
    const next = await open(store, 'a');
    assert.equal((await next.assign(keptOn('a', 't3'))).kind, 'assigned', place);
    assert.deepEqual(await left(), [true, false], place);
    await audited(store);
    next.close();
  }
});
