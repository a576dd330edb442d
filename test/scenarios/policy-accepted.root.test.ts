// Whatever policies are stored, the kernel must take the rules: one refused line would keep every
// later change of the table out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openIpSets } from '../../src/kernel/ipset/ipsets.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { PolicyCalculator } from '../../src/policy/calculate.ts';
import { operation, outcomeOf } from '../../src/policy/world.cases.ts';
import { cleanUp, PolicyWriter } from '../../src/policy/write/writer.io.ts';
import { netnsPath, withNetns } from '../lab/netns.ts';
import { assertNothingLeft, SCENARIO_OPTIONS } from './policy-scenario.ts';

const WORLDS = 60;

const RUNS = (['nft', 'legacy'] as const).flatMap((backend) =>
  ([4, 6] as const).map((family) => ({ backend, family })),
);

for (const { backend, family } of RUNS) {
  test(`${backend}, IPv${family}: the kernel takes the rules of any policies, a restart adopts them, a clean-up leaves none`, async () => {
    const [namespace] = withNetns(`ckt-policy-${process.pid}`, [`${backend}${family}`]);
    const place = { netnsPath: netnsPath(namespace!.name) };
    const tables = await openTables({ ...place, backend, family });
    const ipSets = await openIpSets(place);
    const settings = { endpointToHostAction: 'RETURN', ipipEnabled: true } as const;
    try {
      const writer = new PolicyWriter(tables, ipSets, family);
      const world = fc.array(operation, { minLength: 15, maxLength: 40 });
      const check = fc.asyncProperty(world, async (operations) => {
        const calculator = new PolicyCalculator({ ...SCENARIO_OPTIONS, settings });
        for (const [key, value] of outcomeOf(operations)) calculator.put(key, value);
        const desired = calculator.of(family).desired();
        await writer.apply(desired);
        assert.equal(await new PolicyWriter(tables, ipSets, family).apply(desired), 0);
      });
      await fc.assert(check, { numRuns: WORLDS });
      await cleanUp(tables, ipSets, family);
      await assertNothingLeft(tables, ipSets);
    } finally {
      await tables.close();
      await ipSets.close();
      namespace!.remove();
    }
  });
}
