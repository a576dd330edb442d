import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableName } from '../../kernel/tables.ts';
import { CheckRotation } from './check-rotation.ts';

const ALL: readonly TableName[] = ['filter', 'mangle', 'nat', 'raw'];
/** As they are told in a turn. */
const TURN: readonly TableName[] = ['filter', 'nat', 'raw', 'mangle'];

/** The tables read at each of some looks. */
const looks = (rotation: CheckRotation, count: number, generation: number | undefined) =>
  Array.from({ length: count }, () => rotation.due(generation).tables.toSorted());

test('all tables are read at once after somebody’s change, then none until the next', () => {
  const rotation = new CheckRotation();
  assert.deepEqual(looks(rotation, 1, 1), [ALL]);
  assert.deepEqual(looks(rotation, 80, 1).flat(), []);
  assert.deepEqual(looks(rotation, 1, 2), [ALL]);
  assert.deepEqual(looks(rotation, 80, 2).flat(), []);
});

test('who changes them all the time has them read at every second look, and the last change is seen', () => {
  const rotation = new CheckRotation();
  const reads = Array.from({ length: 10 }, (_, i) => rotation.due(i).tables.length > 0);
  assert.deepEqual(reads, [true, false, true, false, true, false, true, false, true, false]);
  assert.deepEqual(looks(rotation, 2, 9), [ALL, []]);
});

test('where the kernel does not tell, the tables take turns', () => {
  const read = looks(new CheckRotation(), 60, undefined);
  assert.equal(read.filter((tables) => tables.length > 0).length, 6);
  assert.deepEqual([...new Set(read.flat())].toSorted(), ALL);
});

test('sets are read every 180 looks, all tables every 1200, whatever the kernel tells', () => {
  for (const generation of [undefined, 1]) {
    const rotation = new CheckRotation();
    rotation.began(generation);
    const checks = Array.from({ length: 2400 }, () => rotation.due(generation));
    assert.equal(checks.filter((check) => check.withSets).length, 13);
    const inBetween = checks.filter((check) => check.withSizes).length;
    assert.ok(inBetween >= 1180 && inBetween <= 1200, `${inBetween} looks at sizes`);
    if (generation === undefined) continue;
    const whole = checks.flatMap(({ tables }, look) => (tables.length > 0 ? [[look, tables]] : []));
    assert.deepEqual(whole, [
      [1199, TURN],
      [2399, TURN],
    ]);
  }
});

test('sets that take long to read are read more seldom, at least every 1200 looks', () => {
  for (const [took, between] of [
    [0.05, 180],
    [0.5, 500],
    [4, 1200],
  ] as const) {
    const rotation = new CheckRotation();
    const read = Array.from({ length: 3000 }, (_, look) => {
      const { withSets } = rotation.due(1);
      if (withSets) rotation.setsTook(took);
      return withSets ? [look] : [];
    }).flat();
    const distances = new Set(read.slice(1).map((look, i) => look - read[i]!));
    assert.ok([...distances].every((distance) => Math.abs(distance - between) <= 1));
  }
});

test('sizes of sets are asked for each second, more seldom where there are many, at least twice a minute', () => {
  const cases = [
    [0.0006, 2],
    [0.01, 30],
    [5, 60],
  ] as const;
  for (const [took, between] of cases) {
    const rotation = new CheckRotation();
    // Before the sets are read, which makes the question needless for a while.
    const asked = Array.from({ length: 175 }, (_, look) => {
      const { withSizes } = rotation.due(1);
      if (withSizes) rotation.sizesTook(took);
      return withSizes ? [look] : [];
    }).flat();
    assert.equal(asked[0], 2);
    const distances = new Set(asked.slice(1).map((look, i) => look - asked[i]!));
    assert.ok([...distances].every((distance) => Math.abs(distance - between) <= 1));
  }
});

test('what was read at the start is not read again before somebody has changed it', () => {
  const rotation = new CheckRotation();
  rotation.began(7);
  rotation.began(8); // the start was tried again
  assert.deepEqual(looks(rotation, 1, 8), [ALL]);
  const other = new CheckRotation();
  other.began(7);
  assert.deepEqual(looks(other, 80, 7).flat(), []);
});
