import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openIpSets } from '../../src/kernel/ipset/ipsets.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import type { IpSets, Tables } from '../../src/kernel/tables.ts';
import { PolicyCalculator } from '../../src/policy/calculate.ts';
import { cleanUp, PolicyWriter } from '../../src/policy/write/writer.io.ts';
import { netnsPath, withNetns } from '../lab/netns.ts';
import {
  ANY_HASH,
  assertNothingLeft,
  SCENARIO_OPTIONS,
  type Scenario,
  scenarios,
} from './policy-scenario.ts';

const HASH_COMMENT = /-m comment --comment "cali:([^"]{16})" ?/;

const RUNS = (['nft', 'legacy'] as const).flatMap((backend) =>
  scenarios().map((scenario) => ({ backend, scenario })),
);

for (const [i, { backend, scenario }] of RUNS.entries()) {
  test(`${scenario.name}, ${backend}: the kernel shows what it shows of Felix`, async () => {
    const [namespace] = withNetns(`ckt-policy-${process.pid}`, [`s${i}`]);
    const place = { netnsPath: netnsPath(namespace!.name) };
    const tables = await openTables({ ...place, backend });
    const ipSets = await openIpSets(place);
    try {
      const calculator = new PolicyCalculator(SCENARIO_OPTIONS);
      for (const [key, value] of scenario.datastore) calculator.put(key, value);
      await new PolicyWriter(tables, ipSets, 4).apply(calculator.of(4).desired());
      await compareTables(tables, scenario);
      await compareSets(ipSets, scenario);
      const restarted = await new PolicyWriter(tables, ipSets, 4).apply(calculator.of(4).desired());
      assert.equal(restarted, 0, 'a restart writes nothing');
      await cleanUp(tables, ipSets, 4);
      await assertNothingLeft(tables, ipSets);
    } finally {
      await tables.close();
      await ipSets.close();
      namespace!.remove();
    }
  });
}

async function compareTables(tables: Tables, scenario: Scenario): Promise<void> {
  for (const [table, recorded] of scenario.tables) {
    const saved = await tables.read(table as 'filter');
    for (const [chain, rules] of recorded) {
      const got = saved.get(chain)!.map((text, i) => ({
        hash: rules[i]?.hash === ANY_HASH ? ANY_HASH : HASH_COMMENT.exec(text)![1],
        text: text.replace(HASH_COMMENT, '').trim(),
      }));
      assert.deepEqual(got, rules, `${table} ${chain}`);
    }
    const ours = (chain: string): boolean => chain.startsWith('cali-');
    const chains = [...saved.keys()].filter(ours).sort();
    assert.deepEqual(chains, [...recorded.keys()].filter(ours).sort());
  }
}

async function compareSets(ipSets: IpSets, scenario: Scenario): Promise<void> {
  const sets = (await ipSets.read('cali40'))
    .map(({ name, type, members }) => [name, [type, ...[...members].sort()]] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(sets, [...scenario.sets]);
}
