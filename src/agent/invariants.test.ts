import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Log } from '../base/log.io.ts';
import type { Allocator } from '../ipam/allocator.io.ts';
import { countByInvariant, invariantCheck } from './invariants.io.ts';
import { DatastoreView } from './view.ts';

test('what is wrong at two looks in a row is said once, and again after it was right', () => {
  let wrong: readonly string[] = [];
  const said: unknown[] = [];
  const allocator = { violations: () => wrong } as unknown as Allocator;
  const log = { error: (fields: unknown) => said.push(fields) } as unknown as Log;
  const look = invariantCheck({ view: new DatastoreView('a'), allocator, log });
  wrong = ['I1: x'];
  assert.deepEqual(look(), []);
  wrong = ['I1: x', 'I5: y'];
  assert.deepEqual(look(), ['I1: x']);
  assert.deepEqual(look(), ['I1: x', 'I5: y']);
  wrong = [];
  assert.deepEqual(look(), []);
  wrong = ['I1: x'];
  look();
  look();
  assert.deepEqual(said, [{ violation: 'I1: x' }, { violation: 'I5: y' }, { violation: 'I1: x' }]);
});

test('violations are counted by invariant, also those that there are none of', () => {
  const counts = countByInvariant(['I5: x', 'I5: y', 'block 10.0.0.0/26: 3 allocations, not 64']);
  assert.deepEqual(Object.fromEntries(counts), {
    I1: 0,
    I2: 0,
    I3: 0,
    I4: 0,
    I5: 2,
    I7: 0,
    I8: 0,
    structure: 1,
  });
});
