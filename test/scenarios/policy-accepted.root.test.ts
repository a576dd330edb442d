// Whatever policies are stored, the kernel must take the rules: one refused line would keep every
// later change of the table out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openIpSets } from '../../src/kernel/ipset/ipsets.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { PolicyCalculator } from '../../src/policy/calculate.ts';
import { operation, outcomeOf } from '../../src/policy/world.cases.ts';
import { PolicyWriter } from '../../src/policy/write/writer.io.ts';
import { netnsPath, withNetns } from '../lab/netns.ts';
import { SCENARIO_OPTIONS } from './policy-scenario.ts';

const WORLDS = 60;

for (const backend of ['nft', 'legacy'] as const) {
  test(`${backend}: the kernel takes the rules of any policies, and a restart adopts them`, async () => {
    const [namespace] = withNetns(`ckt-policy-${process.pid}`, [backend]);
    const place = { netnsPath: netnsPath(namespace!.name) };
    const tables = await openTables({ ...place, backend });
    const ipSets = await openIpSets(place);
    const settings = { endpointToHostAction: 'RETURN', ipipEnabled: true } as const;
    try {
      const writer = new PolicyWriter(tables, ipSets);
      const world = fc.array(operation, { minLength: 15, maxLength: 40 });
      const check = fc.asyncProperty(world, async (operations) => {
        const calculator = new PolicyCalculator({ ...SCENARIO_OPTIONS, settings });
        for (const [key, value] of outcomeOf(operations)) calculator.put(key, value);
        const desired = calculator.desired();
        await writer.apply(desired);
        assert.equal(await new PolicyWriter(tables, ipSets).apply(desired), 0);
      });
      await fc.assert(check, { numRuns: WORLDS });
    } finally {
      await tables.close();
      await ipSets.close();
      namespace!.remove();
    }
  });
}
