import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readReport, resultTable, verdict } from './results.ts';

const spec = (name: string, State: string, more: object = {}): object => ({
  ContainerHierarchyTexts: ['[net]', 'group'],
  LeafNodeText: name,
  LeafNodeType: 'It',
  State,
  RunTime: 2e9,
  ...more,
});
const setUp = (State: string): object => ({
  ContainerHierarchyTexts: null,
  LeafNodeText: '',
  LeafNodeType: 'SynchronizedBeforeSuite',
  State,
  RunTime: 1,
  Failure: { Message: 'no cluster' },
});
const report = (...SpecReports: object[]): string => JSON.stringify([{ SpecReports }]);

test('specs with their full names; set-up only when it failed', () => {
  const failed = spec('b', 'failed', { Failure: { Message: 'wrong' } });
  assert.deepEqual(readReport(report(setUp('passed'), spec('a', 'passed'), failed)), [
    { name: '[net] group a', state: 'passed', seconds: 2, message: '' },
    { name: '[net] group b', state: 'failed', seconds: 2, message: 'wrong' },
  ]);
  assert.deepEqual(
    readReport(report(setUp('failed'))).map(({ name, message }) => [name, message]),
    [['[SynchronizedBeforeSuite]', 'no cluster']],
  );
});

test('the verdict wants every chosen spec passed in every round', () => {
  const good = readReport(report(spec('a', 'passed'), spec('b', 'passed')));
  const flaky = readReport(report(spec('a', 'passed'), spec('b', 'skipped')));
  const names = good.map(({ name }) => name);
  assert.deepEqual(verdict(names, [good]), { ok: true, text: '2 of 2 specs passed' });
  assert.deepEqual(verdict(names, [good, flaky]), {
    ok: false,
    text: '1 of 2 specs passed in each of 2 rounds',
  });
  assert.equal(verdict(names, [good.slice(1)]).ok, false);
  assert.equal(verdict(names, [[...good, ...readReport(report(setUp('failed')))]]).ok, false);
  assert.equal(
    resultTable([good, flaky]),
    'ROUND 1    ROUND 2     SPEC\npassed 2s  skipped 2s  [net] group b\npassed 2s  passed 2s   [net] group a',
  );
});
