import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Convergence } from './convergence.ts';

test('a burst lasts from its first UPDATE until all is settled', () => {
  let [now, settled] = [1000, true];
  const took: number[] = [];
  const convergence = new Convergence({ now: () => now }, () => settled);
  convergence.took = (seconds) => void took.push(seconds);
  convergence.look();
  settled = false;
  convergence.begin();
  now += 100;
  convergence.begin();
  convergence.look();
  now += 150;
  settled = true;
  convergence.look();
  convergence.look();
  assert.deepEqual(took, [0.25]);
});
