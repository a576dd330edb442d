import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulate.ts';

const OPERATIONS = 100;

test('a seed replays bit for bit', async () => {
  for (const seed of [1, 2, 3, 29, 77]) {
    const first = await simulate(seed, OPERATIONS);
    const second = await simulate(seed, OPERATIONS);
    assert.equal(first.hash, second.hash, `seed ${seed}`);
    assert.deepEqual(first.tail, second.tail, `seed ${seed}`);
  }
  const [one, other] = [await simulate(1, OPERATIONS), await simulate(2, OPERATIONS)];
  assert.notEqual(one.hash, other.hash);
});

test('a failing seed fails again in the same way: on a store that forgets its compares', async () => {
  const blind = { lostCompare: 0.3 };
  let failed = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const first = await simulate(seed, OPERATIONS, blind);
    const second = await simulate(seed, OPERATIONS, blind);
    assert.equal(first.hash, second.hash, `seed ${seed}`);
    assert.deepEqual(first.violations, second.violations, `seed ${seed}`);
    assert.deepEqual(first.tail, second.tail, `seed ${seed}`);
    if (first.violations.length > 0) failed++;
  }
  assert.ok(failed >= 10, `only ${failed} of 20 seeds noticed`);
});

// Else a slice could pass because nothing of the kind ever happened.
test('what the simulation is for does happen: faults of every kind', async () => {
  const met: Record<string, number> = {};
  for (let seed = 1; seed <= 40; seed++) {
    const { counts } = await simulate(seed, OPERATIONS);
    for (const [name, count] of Object.entries(counts)) met[name] = (met[name] ?? 0) + count;
  }
  for (const name of [
    'reply lost',
    'request lost',
    'given up',
    'watch compacted',
    'clock jumped',
    'crash',
    'two processes',
    'unreachable',
    'lost race',
    'half done by others',
    'node removed',
    'borrowed',
    'block taken over',
    'moved by force',
  ])
    assert.ok(met[name], `${name} never happened`);
});
