// Counters of rules on the node's own packet filter: what was sent is what is counted, and chains that
// are written anew go on where they were.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyCounters } from '../../src/agent/policy-engine/counters.io.ts';
import type { Counted } from '../../src/policy/counters/totals.ts';
import { endpoint, type Pod, PROFILE, reaches, stored, withPods } from './policy-pods.ts';

const policy = (rules: readonly object[]) =>
  stored('networkpolicies/default/web', 'NetworkPolicy', {
    selector: "app == 'server'",
    types: ['Ingress'],
    ingress: rules,
  });
const LOG = { action: 'Log', protocol: 'TCP' };
const port = (action: string, number: number) => ({
  action,
  protocol: 'TCP',
  destination: { ports: [number] },
});

test('each rule counts what it matched, a tier’s end what it dropped', () =>
  withPods(['a', 'b'], async ({ pods, kernel, start }) => {
    const [a, b] = pods as [Pod, Pod];
    const server = endpoint(b, 'server', [`${b.ipv6}/128`]);
    const first = [LOG, port('Allow', 80), port('Deny', 81)];
    const items = [PROFILE, endpoint(a, 'client', [`${a.ipv6}/128`]), server];
    const engine = start([...items, policy(first)], { settings: LOGGED });
    await engine.inSync();
    const { tables, ipv6Tables } = kernel;
    const counters = new PolicyCounters({
      facts: engine.facts,
      tables,
      ipv6Tables,
      now: () => new Date(),
    });
    const packets = async (): Promise<Record<string, number>> => {
      const { rules } = await counters.report(0);
      const mine = rules.filter(
        ({ owner, endpoint: of }) => /web/.test(owner) || of === 'default/b',
      );
      return Object.fromEntries(mine.map((one) => [nameOf(one), one.packets]));
    };
    assert.deepEqual(await packets(), { rule1: 0, rule2: 0, rule3: 0, 'end of tier': 0, ...NONE });
    assert.ok(reaches(a, b.address, 80));
    assert.ok(reaches(a, b.ipv6, 80));
    assert.ok(!reaches(a, b.address, 81));
    assert.ok(!reaches(a, b.address, 82));
    const seen = { rule1: 4, rule2: 2, rule3: 1, 'end of tier': 1, ...NONE };
    assert.deepEqual(await packets(), seen, 'both families together');

    const changed = [LOG, port('Allow', 80), port('Allow', 82), port('Deny', 81)];
    engine.changes([{ kind: 'put', item: { ...policy(changed), revision: 2n } }]);
    await engine.putEndpoint(server.key, server.value);
    assert.ok(reaches(a, b.address, 80));
    assert.ok(reaches(a, b.address, 82));
    const after = { rule1: 6, rule2: 3, rule3: 1, rule4: 0, 'end of tier': 1, ...NONE };
    assert.deepEqual(await packets(), after, 'the same rule goes on, another begins');
    const sums = await counters.perOwner(60_000);
    const sum = (action: string) =>
      sums.find((one) => one.action === action && /web/.test(one.owner))?.packets;
    assert.deepEqual([sum('Allow'), sum('Deny')], [4, 1], 'the policy’s own sums never fall');
  }));

const LOGGED = { endpointToHostAction: 'RETURN', ipipEnabled: false, logDenied: true } as const;
/** The profiles' ends of b, which has a policy for ingress alone. */
const NONE = { 'no profile ingress': 0, 'no profile egress': 0 };

const nameOf = ({ owner, rule, direction }: Counted): string => {
  if (rule > 0) return `rule${rule}`;
  return owner === 'end of tier' ? owner : `${owner} ${direction}`;
};
