import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CheckRotation, ROUND } from './check-rotation.ts';

const checks = (rotation: CheckRotation, count: number, generation: number | undefined) =>
  Array.from({ length: count }, () =>
    rotation.isNeedless(generation) ? [] : [rotation.next()],
  ).flat();

test('every table is read once after a change, then none until the next; sets in their time', () => {
  const rotation = new CheckRotation();
  const first = checks(rotation, ROUND, 1).map(({ table }) => table);
  assert.deepEqual([...new Set(first)].sort(), ['filter', 'mangle', 'nat', 'raw']);
  const quiet = checks(rotation, 1000, 1);
  assert.ok(quiet.every(({ withSets }) => withSets));
  assert.ok(quiet.length >= 55);
  const again = checks(rotation, ROUND, 2).map(({ table }) => table);
  assert.deepEqual(again.toSorted(), first.toSorted());
});

test('where the kernel does not tell, every check reads', () => {
  assert.equal(checks(new CheckRotation(), 100, undefined).length, 100);
});
