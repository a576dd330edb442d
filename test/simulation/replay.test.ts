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
