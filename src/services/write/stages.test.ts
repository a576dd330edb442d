import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memoryTables } from '../../kernel/memory-tables.ts';
import type { ChainRules } from '../../kernel/tables.ts';
import { knownTable, linesOf, planTable, sizeOf, type WantedTable } from './plan.ts';
import { stagesOf } from './stages.ts';

const LAST = '-j KUBE-NODEPORTS';

function wantedOf(world: Readonly<Record<string, readonly string[]>>): WantedTable {
  const chains = new Map<string, ChainRules>([
    ['KUBE-NODEPORTS', []],
    ['KUBE-MARK-MASQ', ['-j MARK']],
  ]);
  chains.set('KUBE-SERVICES', [
    ...Object.keys(world).map((name) => `-d ${name} -j KUBE-EXT-${name}`),
    LAST,
  ]);
  for (const [name, ends] of Object.entries(world)) {
    chains.set(`KUBE-EXT-${name}`, ['-j KUBE-MARK-MASQ', `-j KUBE-SVC-${name}`]);
    chains.set(
      `KUBE-SVC-${name}`,
      ends.map((end) => `-j KUBE-SEP-${name}-${end}`),
    );
    for (const end of ends) chains.set(`KUBE-SEP-${name}-${end}`, [`-j DNAT --to ${end}`]);
  }
  return { chains, hooks: new Map([['PREROUTING', ['-j KUBE-SERVICES']]]) };
}

/** Where a packet to an address may end, and whether it comes to a list's end. */
function reached(content: ReadonlyMap<string, ChainRules>, to: string): ReadonlySet<string> {
  const ends = new Set<string>();
  const walk = (chain: string): void => {
    for (const rule of content.get(chain) ?? []) {
      const address = /^-d (\S+) /.exec(rule)?.[1];
      if (address !== undefined && address !== to) continue;
      if (rule.includes('DNAT')) ends.add(rule.split(' ').at(-1)!);
      else if (rule === LAST) ends.add('last');
      else walk(/-j (\S+)/.exec(rule)![1]!);
    }
  };
  walk('PREROUTING');
  return ends;
}

test('in stages: the same table in the end, and meanwhile no packet is lost that had or has a way', async () => {
  const names = fc.constantFrom('1', '2', '3', '4');
  const world = fc.dictionary(names, fc.uniqueArray(fc.constantFrom('x', 'y'), { minLength: 1 }));
  await fc.assert(
    fc.asyncProperty(world, world, fc.constantFrom(1, 2, 1000), async (before, after, piece) => {
      const limits = { piece, large: piece, together: 2 * piece };
      const [whole, staged] = [memoryTables(), memoryTables()];
      const known = async (of: typeof whole) => knownTable(await of.read('nat'));
      const first = linesOf(planTable(await known(whole), wantedOf(before)));
      for (const one of [whole, staged]) await one.commit({ table: 'nat', lines: first });
      const from = await known(staged);
      const plan = planTable(from, wantedOf(after));
      await whole.commit({ table: 'nat', lines: linesOf(plan) });
      const exists = (chain: string): boolean => from.chains.has(chain);
      for (const stage of stagesOf(plan, exists, 0, limits)) {
        await staged.commit({ table: 'nat', lines: stage });
        const content = await staged.read('nat');
        for (const name of ['1', '2', '3', '4']) {
          const now = reached(content, name);
          const allowed = new Set([...(before[name] ?? []), ...(after[name] ?? []), 'last']);
          assert.ok([...now].every((end) => allowed.has(end)));
          assert.ok(now.has('last'));
          if (before[name] && after[name]) assert.ok(now.size > 1, `${name} has no endpoint`);
        }
      }
      assert.deepEqual(await staged.read('nat'), await whole.read('nat'));
    }),
  );
});

test('what is short stays whole; what is long is so many chains at a time, lists at the end', () => {
  const world = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`s${i}`, ['x']]));
  const plan = planTable({ chains: new Map(), hooks: new Map() }, wantedOf(world));
  const lines = linesOf(plan);
  assert.equal(sizeOf(plan), lines.length);
  assert.deepEqual([...stagesOf(plan, () => false, lines.length)], [lines]);
  const stages = [...stagesOf(plan, () => false, lines.length - 1)];
  assert.deepEqual([...stages.flat()].sort(), [...lines].sort());
  const chainsIn = (stage: readonly string[]) =>
    stage.filter((line) => line.startsWith(':')).map((line) => line.slice(1).split(' ')[0]!);
  const countOf = (beginning: string) =>
    stages.map((stage) => stage.filter((line) => line.startsWith(beginning)).length);
  assert.deepEqual(countOf(':KUBE-SEP-'), [0, 600, 0, 0, 0, 0, 0]);
  assert.deepEqual(
    countOf(':KUBE-')
      .slice(2)
      .filter((count) => count > 0),
    [500, 500, 200],
  );
  // What sorts first in the child's list comes last: no name is looked for behind others of its kind.
  const endpoints = chainsIn(stages[1]!).filter((name) => name.startsWith('KUBE-SEP-'));
  assert.deepEqual(endpoints, endpoints.toSorted().reverse());
  const [first, last] = [stages[0]!, stages.at(-1)!];
  assert.deepEqual(first, [':KUBE-SERVICES - [0:0]', ':KUBE-NODEPORTS - [0:0]']);
  assert.deepEqual(last, ['-I PREROUTING 1 -j KUBE-SERVICES']);
  const list = stages.at(-2)!;
  assert.equal(list.length, 601);
  assert.equal(list.at(-1), `-A KUBE-SERVICES ${LAST}`);
  const targets = list.slice(0, -1).map((line) => line.split(' ').at(-1)!);
  assert.deepEqual(targets, targets.toSorted().reverse());
});

test('rules whose order means something keep it, in shorter pieces', () => {
  const world = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`s${i}`, ['x']]));
  const plan = planTable(
    { chains: new Map(), hooks: new Map() },
    { ...wantedOf(world), inOrder: true },
  );
  const rules = [...stagesOf(plan, () => false, 10)].map((stage) =>
    stage.filter((line) => line.startsWith('-A KUBE-SERVICES ')),
  );
  assert.deepEqual(
    rules.map(({ length }) => length).filter((length) => length > 0),
    [500, 101],
  );
  assert.deepEqual(
    rules.flat(),
    plan.made.get('KUBE-SERVICES')!.map((rule) => `-A KUBE-SERVICES ${rule}`),
  );
});

test('a storm of changes is one transaction still', () => {
  const world = (end: string) =>
    Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`s${i}`, [end]]));
  const known = { chains: wantedOf(world('x')).chains, hooks: wantedOf({}).hooks };
  const plan = planTable(known, wantedOf(world('y')));
  const stages = [...stagesOf(plan, () => true, 4000)];
  assert.equal(stages.length, 1);
  assert.deepEqual([...stages[0]!].sort(), [...linesOf(plan)].sort());
});
