import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openProgress, table } from './progress.ts';

test('columns are as wide as their longest cell; no trailing blanks', () => {
  const rows = [
    ['POD', 'READY', 'NODE'],
    ['calico-node-x', '2/2', 'ck-n1'],
    ['short', '', ''],
  ];
  assert.equal(table(rows), 'POD            READY  NODE\ncalico-node-x  2/2    ck-n1\nshort');
});

test('a step prints its line when done, and when it failed', async () => {
  const lines: string[] = [];
  const progress = openProgress((line) => lines.push(line.replaceAll(/\d+\.\ds/g, 'T').trim()));
  assert.equal(await progress.step('one', () => 1), 1);
  progress.note('detail');
  await assert.rejects(
    progress.step('two', () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.deepEqual(lines, ['T  one (T)', 'T    detail', 'T  two: failed (T)']);
});
