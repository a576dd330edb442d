import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCalculator } from '../../src/policy/calculate.ts';
import { TABLES } from '../../src/policy/desired.ts';
import { cleanUp, PolicyWriter } from '../../src/policy/writer.io.ts';
import { commandIpSets, commandTables, makeNamespace } from './policy-namespace.ts';
import { ANY_HASH, SCENARIO_OPTIONS, scenarios } from './policy-scenario.ts';

const HASH_COMMENT = /-m comment --comment "cali:([^"]{16})" ?/;

for (const scenario of scenarios()) {
  test(`${scenario.name}: the kernel shows what it shows of Felix`, async () => {
    const namespace = makeNamespace();
    try {
      const [tables, ipSets] = [commandTables(namespace), commandIpSets(namespace)];
      const calculator = new PolicyCalculator(SCENARIO_OPTIONS);
      for (const [key, value] of scenario.datastore) calculator.put(key, value);
      await new PolicyWriter(tables, ipSets).apply(calculator.desired());
      for (const [table, recorded] of scenario.tables) {
        const saved = await tables.read(table as 'filter');
        for (const [chain, rules] of recorded) {
          const got = saved.get(chain)!.map((text, i) => ({
            hash: rules[i]?.hash === ANY_HASH ? ANY_HASH : HASH_COMMENT.exec(text)![1],
            text: text.replace(HASH_COMMENT, '').trim(),
          }));
          assert.deepEqual(got, rules, `${table} ${chain}`);
        }
        const ours = [...saved.keys()].filter((chain) => chain.startsWith('cali-'));
        assert.deepEqual(
          ours.sort(),
          [...recorded.keys()].filter((chain) => chain.startsWith('cali-')).sort(),
        );
      }
      const sets = (await ipSets.read('cali')).map(
        ({ name, type, members }) => [name, [type, ...[...members].sort()]] as const,
      );
      assert.deepEqual(
        sets.sort(([a], [b]) => (a < b ? -1 : 1)),
        [...scenario.sets],
      );

      const restarted = await new PolicyWriter(tables, ipSets).apply(calculator.desired());
      assert.equal(restarted, 0, 'a restart writes nothing');

      await cleanUp(tables, ipSets);
      for (const table of TABLES)
        for (const [chain, rules] of await tables.read(table)) {
          assert.ok(!chain.startsWith('cali-'), `${table} ${chain} is left`);
          assert.deepEqual(rules, [], `${table} ${chain}`);
        }
      assert.deepEqual(await ipSets.read(''), []);
    } finally {
      namespace.remove();
    }
  });
}
