// A slice of `make simulate` for every test run: half a minute on one core. The long run covers
// 10,000 seeds and more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulate.ts';

const OPERATIONS = 100;
const SEEDS = 480;
const SLICES = 8;

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

for (let slice = 0; slice < SLICES; slice++) {
  const from = 1 + (slice * SEEDS) / SLICES;
  const to = from + SEEDS / SLICES - 1;
  test(`seeds ${from}-${to}: no duplicate, no leak, no invariant broken`, async () => {
    for (let seed = from; seed <= to; seed++) {
      const { violations, tail } = await simulate(seed, OPERATIONS);
      const told = `make simulate SEED=${seed}\n${tail.slice(-30).join('\n')}`;
      assert.deepEqual(violations, [], told);
    }
  });
}
