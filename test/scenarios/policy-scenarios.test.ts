import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCalculator } from '../../src/policy/calculate.ts';
import type { Desired } from '../../src/policy/desired.ts';
import { ANY_HASH, SCENARIO_OPTIONS, scenarios } from './policy-scenario.ts';

for (const { name, datastore, tables, sets } of scenarios()) {
  test(`${name}: chains, hashes and sets are those of the recording`, () => {
    const calculator = new PolicyCalculator(SCENARIO_OPTIONS);
    for (const [key, value] of datastore) calculator.put(key, value);
    assert.deepEqual(calculator.problems(), []);
    const desired = calculator.of(4).desired();
    for (const [table, recorded] of tables) {
      const rendered = hashesOf(desired, table);
      assert.deepEqual([...rendered.keys()].sort(), [...recorded.keys()].sort(), table);
      for (const [chain, rules] of recorded) {
        const wanted = rules.map(({ hash }) => hash);
        const got = rendered.get(chain)!.map((h, i) => (wanted[i] === ANY_HASH ? ANY_HASH : h));
        assert.deepEqual(got, wanted, `${table} ${chain}`);
      }
    }
    assert.deepEqual(setsOf(desired), [...sets]);
  });
}

function hashesOf(desired: Desired, table: string): ReadonlyMap<string, readonly string[]> {
  const { chains, inserts, appends } = desired.tables.get(table as 'filter')!;
  const hashes = new Map<string, readonly string[]>();
  for (const [chain, { rules }] of chains)
    hashes.set(
      chain,
      rules.map(({ hash }) => hash),
    );
  for (const hook of new Set([...inserts.keys(), ...appends.keys()])) {
    const rules = [...(inserts.get(hook) ?? []), ...(appends.get(hook) ?? [])];
    hashes.set(
      hook,
      rules.map(({ hash }) => hash),
    );
  }
  return hashes;
}

const setsOf = ({ ipSets }: Desired): readonly (readonly [string, readonly string[]])[] =>
  [...ipSets.values()]
    .map(({ meta, members }) => [meta.name, [meta.type, ...[...members].sort()]] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
