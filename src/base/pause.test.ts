import assert from 'node:assert/strict';
import { stat } from 'node:fs';
import { test } from 'node:test';
import { afterSlice, freshTurn, isSliceOver, nextTurn } from './pause.io.ts';

/** Runs where something has just been read: in the part of a turn before its immediates. */
const afterReading = <T>(work: () => Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => stat('.', () => work().then(resolve, reject)));

/** How many turns end before the work does. */
async function turnsOf(work: () => Promise<void>): Promise<number> {
  let turns = 0;
  let done = false;
  const count = (): void => {
    if (done) return;
    turns++;
    setImmediate(count);
  };
  setImmediate(count);
  await work();
  done = true;
  return turns;
}

test('a fresh turn is not the one in which something was read', async () => {
  assert.equal(await afterReading(() => turnsOf(nextTurn)), 1);
  assert.equal(await afterReading(() => turnsOf(freshTurn)), 2);
});

test('long work leaves the turn after its slice, or after as little as it is told', async (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  await freshTurn();
  const turn = (milliseconds?: number) => turnsOf(() => afterSlice(milliseconds));
  assert.equal(await turn(1), 0, 'nothing was done yet');
  now += 2;
  assert.equal(await turn(), 0, 'the slice is not over');
  assert.equal(await turn(1), 1);
  now += 6;
  assert.equal(await turn(), 1, 'what followed was long work too');
  assert.equal(isSliceOver(0), true, 'and so is what follows now');
});
