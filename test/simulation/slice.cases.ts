// A slice of `make simulate` for every test run: some 20 seconds of one core a file. The long run
// covers 10,000 seeds and more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulate } from './simulate.ts';

const OPERATIONS = 100;
const SEEDS_PER_TEST = 50;

export function sliceCases(from: number, count: number): void {
  for (let first = from; first < from + count; first += SEEDS_PER_TEST) {
    const last = first + SEEDS_PER_TEST - 1;
    test(`seeds ${first}-${last}: no duplicate, no leak, no invariant broken`, async () => {
      for (let seed = first; seed <= last; seed++) {
        const { violations, tail } = await simulate(seed, OPERATIONS);
        const told = `make simulate SEED=${seed}\n${tail.slice(-30).join('\n')}`;
        assert.deepEqual(violations, [], `${violations.join('\n')}\n${told}`);
      }
    });
  }
}
