import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableContent } from '../../kernel/tables.ts';
import { NOTHING, renderHooks } from '../desired.ts';
import { type Chain, renderChain } from '../render/rule.ts';
import { netSet } from '../sets.ts';
import { type KnownSets, knownSets, knownTable, planSets, planTable } from './plan.ts';

const desiredOf = (...chains: readonly Chain[]) => ({
  ...renderHooks('filter'),
  chains: new Map(chains.map((chain) => [chain.name, renderChain(chain)])),
});
const drop = (name: string): Chain => ({ name, rules: [{ match: '', action: '--jump DROP' }] });
const empty: TableContent = new Map([
  ['INPUT', []],
  ['FORWARD', ['-j KUBE-FORWARD']],
  ['OUTPUT', []],
]);

test('a new table: chains, then hooks; kube-proxy’s rules stay between ours', () => {
  const { lines } = planTable(knownTable(empty), desiredOf(drop('cali-FORWARD')));
  assert.equal(lines[0], ':cali-FORWARD - [0:0]');
  assert.match(lines[1]!, /^-A cali-FORWARD .* --jump DROP$/);
  assert.deepEqual(
    lines.slice(2).map((line) => line.replace(/"cali:[^"]*"/, 'H').slice(0, 40)),
    [
      '-I INPUT -m comment --comment H --jump c',
      '-I FORWARD -m comment --comment H --jump',
      '-A FORWARD -m comment --comment H -m com',
      '-A FORWARD -m comment --comment H --jump',
      '-I OUTPUT -m comment --comment H --jump ',
    ],
  );
});

test('what is right is not written again; what moved is put back', () => {
  const desired = desiredOf(drop('cali-FORWARD'));
  const { after } = planTable(knownTable(empty), desired);
  assert.deepEqual(planTable(after, desired).lines, []);
  const saved = new Map<string, readonly string[]>([
    ['cali-FORWARD', desired.chains.get('cali-FORWARD')!.rules.map(({ text }) => text)],
    ...['INPUT', 'OUTPUT'].map((c) => [c, desired.inserts.get(c)!.map((r) => r.text)] as const),
    [
      'FORWARD',
      [
        '-j USER',
        ...desired.inserts.get('FORWARD')!.map(({ text }) => text),
        ...desired.appends.get('FORWARD')!.map(({ text }) => text),
      ],
    ],
  ]);
  const moved = planTable(knownTable(saved), desired).lines;
  assert.deepEqual(
    moved.map((line) => line.split(' ').slice(0, 2).join(' ')),
    ['-D FORWARD', '-D FORWARD', '-D FORWARD', '-I FORWARD', '-A FORWARD', '-A FORWARD'],
  );
  saved.set('FORWARD', [...saved.get('FORWARD')!.slice(1), '-j USER']);
  assert.deepEqual(planTable(knownTable(saved), desired).lines, []);
});

test('leftovers go: chains, jumps without a hash, rules of ours in foreign chains', () => {
  const content = new Map([
    ['FORWARD', ['-j cali-old', '-j USER']],
    ['USER', ['-j ACCEPT', '-m comment --comment "cali:0123456789abcdef" -j ACCEPT']],
    ['cali-old', ['-j DROP']],
  ]);
  const { lines } = planTable(knownTable(content), NOTHING.tables.get('filter')!);
  assert.deepEqual(lines, [
    ':cali-old - [0:0]',
    '-D FORWARD -j cali-old',
    '-D USER -m comment --comment "cali:0123456789abcdef" -j ACCEPT',
    '-X cali-old',
  ]);
});

test('sets grow before the tables and shrink after them', () => {
  const set = netSet(4, 'x', new Set(['10.0.0.1', '10.0.0.2']));
  const desired = new Map([[set.meta.name, set]]);
  const old = { ...set.meta, members: new Set(['10.0.0.2', '10.0.0.3']) };
  const gone = { ...set.meta, name: 'cali40y', members: new Set<string>() };
  const planned = (known: KnownSets) => {
    const { before, after, unused } = planSets(known, desired);
    return { before: [...before].filter((change) => change !== undefined), after, unused };
  };
  assert.deepEqual(planned(knownSets([old, gone])), {
    before: [{ kind: 'add', name: 'cali40x', member: '10.0.0.1' }],
    after: [{ kind: 'delete', name: 'cali40x', member: '10.0.0.3' }],
    unused: ['cali40y'],
  });
  assert.equal(planned(new Map()).before.length, 3);
  assert.deepEqual(planned(new Map([['cali40x', set]])), {
    before: [],
    after: [],
    unused: [],
  });
});

test('a set with another limit takes the place of the one that is there, in one moment', () => {
  const set = netSet(4, 'x', new Set(['10.0.0.1']), 2000);
  const known = knownSets([
    { ...set.meta, maxElements: 1000, members: new Set(['10.0.0.2']) },
    { ...set.meta, name: 'cali4t0', members: new Set<string>() },
  ]);
  const { before, after, unused } = planSets(known, new Map([[set.meta.name, set]]));
  assert.deepEqual(
    [...before].filter((change) => change !== undefined),
    [
      { kind: 'create', set: { ...set.meta, name: 'cali4t1' } },
      { kind: 'add', name: 'cali4t1', member: '10.0.0.1' },
      { kind: 'swap', name: 'cali40x', other: 'cali4t1' },
      { kind: 'destroy', name: 'cali4t1' },
    ],
  );
  assert.deepEqual([after, unused], [[], ['cali4t0']]);
});
