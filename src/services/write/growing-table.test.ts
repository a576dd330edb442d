import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memoryTables } from '../../kernel/memory-tables.ts';
import type { ChainRules } from '../../kernel/tables.ts';
import { GrowingTable } from './growing-table.ts';
import { linesOf, planChanges, sizeOfTable, type WantedTable } from './plan.ts';
import { ServiceWriter } from './writer.io.ts';

const LAST = '-m comment --comment last -j KUBE-NODEPORTS';
const fixed = (inOrder: boolean): WantedTable => ({
  chains: new Map<string, ChainRules>([
    ['KUBE-SERVICES', [LAST]],
    ['KUBE-NODEPORTS', []],
  ]),
  hooks: new Map([['PREROUTING', ['-j KUBE-SERVICES']]]),
  inOrder,
});

type World = Readonly<Record<string, readonly string[]>>;

/** A rule in the list, a chain, and a chain for each endpoint; a service without endpoints has a rule
 *  twice, as one with the same external address twice. */
function chainsOf(name: string, ends: readonly string[]): Map<string, ChainRules> {
  const to = `-d 10.96.0.${name} -j KUBE-SVC-${name}`;
  return new Map<string, ChainRules>([
    ['KUBE-SERVICES', ends.length > 0 ? [to] : [to, to]],
    [`KUBE-SVC-${name}`, ends.map((end) => `-j KUBE-SEP-${name}-${end}`)],
    ...ends.map((end) => [`KUBE-SEP-${name}-${end}`, [`-j DNAT --to ${end}`]] as const),
  ]);
}

const NONE: WantedTable = { chains: new Map(), hooks: new Map(), version: {} };

for (const inOrder of [false, true])
  test(`${inOrder ? 'in order' : 'loose'}: change by change the kernel holds what a fresh start writes`, async () => {
    const name = fc.constantFrom('1', '2', '3', '4', '5');
    const world = fc.dictionary(name, fc.uniqueArray(fc.constantFrom('x', 'y', 'z')));
    const step = fc.record({ world, fails: fc.boolean(), skipped: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const [tables, fresh] = [memoryTables(), memoryTables()];
        const growing = new GrowingTable(fixed(inOrder));
        const writer = new ServiceWriter(tables);
        let former: World = {};
        for (const { world: present, fails, skipped } of steps) {
          for (const one of new Set([...Object.keys(former), ...Object.keys(present)]))
            growing.replace(one, present[one] && chainsOf(one, present[one]));
          former = present;
          const nat = growing.wanted();
          if (skipped) continue;
          if (fails) tables.failNext();
          await writer.apply({ filter: NONE, nat }).catch(() => undefined);
        }
        const nat = growing.wanted();
        await writer.apply({ filter: NONE, nat }).catch(() => undefined);
        await writer.apply({ filter: NONE, nat });
        const counted = sizeOfTable({ chains: nat.chains, hooks: nat.hooks });
        assert.deepEqual(sizeOfTable(nat), counted);
        await new ServiceWriter(fresh).apply({ filter: NONE, nat: { ...nat, version: {} } });
        const shown = async (of: typeof tables) => {
          const content = await of.read('nat');
          assert.equal(content.get('KUBE-SERVICES')!.at(-1), LAST);
          return new Map(
            [...content].map(([n, r]) => [n, inOrder ? r : r.toSorted()] as const).sort(),
          );
        };
        assert.deepEqual(await shown(tables), await shown(fresh));
      }),
    );
  });

test('what is told of a change is the change alone; nothing changed, nothing told', () => {
  const growing = new GrowingTable(fixed(false));
  for (const name of ['1', '2']) growing.replace(name, chainsOf(name, ['x', 'y']));
  const first = growing.wanted();
  assert.equal(growing.wanted(), first);
  growing.replace('2', chainsOf('2', ['x', 'y']));
  assert.equal(growing.wanted(), first);
  growing.replace('2', chainsOf('2', ['y', 'z']));
  const second = growing.wanted();
  assert.equal(second.changes?.from, first.version);
  assert.deepEqual(linesOf(planChanges(false, second.changes!)), [
    ':KUBE-SVC-2 - [0:0]',
    ':KUBE-SEP-2-z - [0:0]',
    ':KUBE-SEP-2-x - [0:0]',
    '-A KUBE-SVC-2 -j KUBE-SEP-2-y',
    '-A KUBE-SVC-2 -j KUBE-SEP-2-z',
    '-A KUBE-SEP-2-z -j DNAT --to z',
    '-X KUBE-SEP-2-x',
  ]);
  growing.replace('1');
  const third = growing.wanted();
  assert.equal(
    linesOf(planChanges(false, third.changes!)).find((line) => line.startsWith('-D ')),
    '-D KUBE-SERVICES -d 10.96.0.1 -j KUBE-SVC-1',
  );
});

test('other fixed chains: what services add stays', () => {
  const before = new GrowingTable(fixed(false));
  for (const name of ['1', '2']) before.replace(name, chainsOf(name, ['x']));
  before.wanted();
  const chains = new Map([['KUBE-SERVICES', ['-j ELSEWHERE']]]);
  const after = new GrowingTable({ chains, hooks: new Map() }, before);
  after.replace('1');
  const wanted = after.wanted();
  assert.equal(wanted.changes, undefined);
  assert.deepEqual(
    [...wanted.chains],
    [
      ['KUBE-SERVICES', ['-d 10.96.0.2 -j KUBE-SVC-2', '-j ELSEWHERE']],
      ['KUBE-SVC-2', ['-j KUBE-SEP-2-x']],
      ['KUBE-SEP-2-x', ['-j DNAT --to x']],
    ],
  );
  assert.deepEqual(sizeOfTable(wanted), { chains: 3, rules: 4 });
});
