import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CountedRule, policyCounters } from './counters.ts';
import { policyDenied } from './denied.ts';
import { guardNote, policyGuard } from './guard.ts';

const rule: CountedRule = {
  tier: 'default',
  owner: 'NetworkPolicy shop/web',
  endpoint: '',
  direction: 'ingress',
  rule: 1,
  action: 'Allow',
  words: 'Allow tcp to port 80',
  packets: 12,
  bytes: 720,
};
const end = { ...rule, owner: 'end of tier', endpoint: 'shop/web-1', rule: 0, words: 'Deny' };
const report = { at: '2026-01-01T00:00:00.000Z', rules: [end, rule] };

test('counters: rules before ends, numbers to the right', () => {
  assert.deepEqual(policyCounters(report, undefined).lines, [
    '+---------+--------------------------+-----------+------+---------+-------+----------------------+',
    '| TIER    | POLICY                   | DIRECTION | RULE | PACKETS | BYTES | WHAT                 |',
    '+---------+--------------------------+-----------+------+---------+-------+----------------------+',
    '| default | NetworkPolicy shop/web   | ingress   |    1 |      12 |   720 | Allow tcp to port 80 |',
    '| default | end of tier (shop/web-1) | ingress   |      |      12 |   720 | Deny                 |',
    '+---------+--------------------------+-----------+------+---------+-------+----------------------+',
  ]);
});

test('counters of one policy, by any of its names; none is a failure', () => {
  for (const name of ['web', 'shop/web', 'NetworkPolicy shop/web'])
    assert.deepEqual(policyCounters(report, name).data, { ...report, rules: [rule] });
  const none = policyCounters(report, 'db');
  assert.equal(none.failed, true);
  assert.match(none.lines[0]!, /no policy or profile 'db'/);
});

test('denied: who, what and which rule; off is said', () => {
  const flow = {
    time: '2026-01-01T00:00:00.000Z',
    direction: 'ingress',
    endpoint: 'shop/web-1',
    source: '10.1.0.2',
    sourceName: 'shop/client',
    sourcePort: 4711,
    destination: 'fd00::1',
    destinationPort: 80,
    protocol: 'tcp',
    tier: 'default',
    policy: 'NetworkPolicy shop/web',
    rule: 2,
  };
  const { lines } = policyDenied({ enabled: true, suppressed: 3, flows: [flow] });
  assert.match(lines[3]!, /shop\/client \(10\.1\.0\.2:4711\) \| \[fd00::1\]:80 +\| tcp/);
  assert.match(lines[3]!, /default NetworkPolicy shop\/web rule 2/);
  assert.match(lines.at(-1)!, /3 more/);
  assert.equal(policyDenied({ enabled: false, suppressed: 0, flows: [] }).failed, true);
});

test('the guard: what stands, what it stopped, and why there is none', () => {
  const stands = { family: 4, enabled: true, stands: true, isKept: true, dropped: 3 } as const;
  const why = 'guard: not supported (errno 95)';
  const none = { ...stands, family: 6, stands: false, isKept: false, dropped: 0, why } as const;
  assert.deepEqual(policyGuard([stands, none]), {
    data: [stands, none],
    lines: [
      '+--------+--------+---------+---------------------------------+',
      '| FAMILY | GUARD  | DROPPED | NOTE                            |',
      '+--------+--------+---------+---------------------------------+',
      '| IPv4   | stands |       3 |                                 |',
      '| IPv6   | none   |       0 | guard: not supported (errno 95) |',
      '+--------+--------+---------+---------------------------------+',
    ],
    failed: true,
  });
  assert.match(policyGuard([{ ...stands, isKept: false }]).lines[3]!, /nft flush ruleset/);
  assert.equal(policyGuard([{ ...none, enabled: false }]).failed, false);
  assert.match(guardNote([stands, none])!, /rules of IPv4 stands the guard.*stopped 3 packets/);
  assert.equal(guardNote([none]), undefined);
});
