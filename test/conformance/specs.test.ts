import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LISTS, readList } from './conform.ts';
import { choose, differences, exactly, parseList, without } from './specs.ts';

const LIST = `# about it
focus ^\\[net\\]
why sctp no SCTP here

ci   [net] one (first)
run  [net] two
sctp [net] three
`;

test('a list says what runs and why the rest does not', () => {
  const list = parseList(LIST);
  assert.deepEqual(choose(list), {
    runs: ['[net] one (first)', '[net] two'],
    leftOut: [{ why: 'no SCTP here', names: ['[net] three'] }],
  });
  assert.deepEqual(choose(list, { also: ['sctp'] }).runs.length, 3);
  assert.deepEqual(choose(list, { also: ['sctp'] }).leftOut, []);
  assert.deepEqual(choose(list, { only: ['ci'] }).runs, ['[net] one (first)']);
  assert.deepEqual(without(choose(list), 'two$').runs, ['[net] one (first)']);
});

test('a wrong line is refused', () => {
  assert.throws(() => parseList('run x'), /no line `focus/);
  assert.throws(() => parseList('focus x\nrun a\nci a'), /listed twice: a/);
  assert.throws(() => parseList('focus x\nbroken a'), /no such fate: broken a/);
  assert.throws(() => parseList('focus'), /no fate and name/);
});

test('a spec that came or went is noticed', () => {
  const suite = ['[net] one (first)', '[net] two', '[net] four', '[node] five'];
  assert.deepEqual(differences(parseList(LIST), suite), [
    'not listed: [net] four',
    'not in the suite: [net] three',
  ]);
});

test('names are matched letter by letter, and whole at their end', () => {
  const one = new RegExp(exactly(['[net] a (b)', '[net] c|d']));
  assert.ok(one.test('prefix [net] a (b)') && one.test('[net] c|d'));
  assert.ok(!one.test('[net] a (b) [Slow]') && !one.test('[net] c'));
});

for (const name of LISTS) {
  test(`${name}.specs can be read, and its regex covers its own lines`, () => {
    const list = readList(name);
    assert.deepEqual(differences(list, [...list.fates.keys()]), []);
    assert.ok(choose(list).runs.length > 20);
  });
}
