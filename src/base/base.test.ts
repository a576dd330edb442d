import assert from 'node:assert/strict';
import { test } from 'node:test';
import { delta } from './delta.ts';
import { parseJson, printJson } from './json.ts';
import { UndoList } from './undo.ts';

test('JSON keeps integers beyond 2^53', () => {
  const text = '{"sequenceNumber":1790000000000000002,"n":1,"x":1.5}';
  assert.equal(printJson(parseJson(text)), text);
  for (const edge of ['9007199254740991', '9007199254740993', '-9007199254740993'])
    assert.equal(printJson(parseJson(`[${edge}]`)), `[${edge}]`);
});

test('delta: put what differs, remove what is not wanted', () => {
  const actual = new Map([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  const desired = new Map([
    ['a', 1],
    ['b', 5],
    ['d', 4],
  ]);
  assert.deepEqual(
    delta(actual, desired, (x, y) => x === y),
    {
      put: [
        ['b', 5],
        ['d', 4],
      ],
      remove: [['c', 3]],
    },
  );
});

test('undo runs backwards and goes on after a failure', async () => {
  const seen: string[] = [];
  const list = new UndoList();
  list.push('first', () => void seen.push('first'));
  list.push('second', () => {
    throw new Error('no');
  });
  list.push('third', () => void seen.push('third'));
  const failed = await list.rollBack();
  assert.deepEqual(seen, ['third', 'first']);
  assert.deepEqual(
    failed.map((f) => f.what),
    ['second'],
  );
  assert.deepEqual(await list.rollBack(), []);
});
