// The log of denied packets on the node's own packet filter: who was denied what, and by which rule.
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import pino from 'pino';
import { DeniedLog } from '../../src/agent/policy-engine/denied.io.ts';
import { inNetnsAt } from '../../src/kernel/namespaces.io.ts';
import { eventually } from '../lab/command.ts';
import { netnsPath } from '../lab/netns.ts';
import { endpoint, exec, type Pod, PROFILE, reaches, stored, withPods } from './policy-pods.ts';

const POLICY = stored('networkpolicies/default/web', 'NetworkPolicy', {
  selector: "app == 'server'",
  types: ['Ingress'],
  ingress: [
    { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
    { action: 'Deny', protocol: 'TCP', destination: { ports: [81] } },
  ],
});
const SETTINGS = { endpointToHostAction: 'RETURN', ipipEnabled: false } as const;

function collect() {
  const lines: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      for (const line of String(chunk).trim().split('\n')) lines.push(JSON.parse(line));
      done();
    },
  });
  return { lines, log: pino(sink) };
}

test('a line for each denied packet, by rule, end of tier and end of profiles', (t) =>
  withPods(['a', 'b', 'c'], async ({ node, pods, start }) => {
    const [a, b, c] = pods as [Pod, Pod, Pod];
    const stop = new AbortController();
    const { lines, log } = collect();
    const items = [
      PROFILE,
      endpoint(a, 'client', [`${a.ipv6}/128`]),
      endpoint(b, 'server', [`${b.ipv6}/128`]),
      endpoint(c, 'closed', [], { profiles: [] }),
      POLICY,
    ];
    const engine = start(items, { settings: { ...SETTINGS, logDenied: true } });
    await engine.inSync();
    const denied = new DeniedLog({
      facts: engine.facts,
      log,
      now: () => new Date(),
      signal: stop.signal,
      within: (work) => inNetnsAt(netnsPath(node.name), work),
      perSecond: 5,
    });
    try {
      assert.ok(reaches(a, b.address, 80));
      assert.ok(!reaches(a, b.address, 81));
      assert.ok(!reaches(a, b.ipv6, 82));
      assert.ok(!reaches(c, b.address, 80));
      await eventually('three lines', () => lines.length === 3);
      const common = { msg: 'denied flow', action: 'Deny', protocol: 'tcp' };
      const toB = { ...common, direction: 'ingress', endpoint: 'default/b', tier: 'default' };
      const ends = { sourceName: 'default/a', destinationName: 'default/b' };
      const first = { ...toB, ...ends, source: a.address, destination: b.address };
      const rule = { policy: 'NetworkPolicy default/web', rule: 2, destinationPort: 81 };
      assertHolds(lines[0], { ...first, ...rule });
      const second = { ...toB, ...ends, source: a.ipv6, destination: b.ipv6 };
      assertHolds(lines[1], { ...second, policy: 'end of tier', destinationPort: 82 });
      const none = { endpoint: 'default/c', direction: 'egress', tier: '', policy: 'no profile' };
      assertHolds(lines[2], { ...common, ...none, source: c.address, destination: b.address });
      t.diagnostic(JSON.stringify(lines[0]));
      assert.equal(typeof lines[0]?.['sourcePort'], 'number');

      const flood = ['ping', '-c50', '-i0.002', '-W1', b.address];
      try {
        exec(a.netns, ...flood);
        assert.fail('the policy lets no ping pass');
      } catch {}
      await eventually('all are accounted for', () => lines.length - 3 + denied.suppressed === 50);
      assert.ok(lines.length - 3 < 20, 'few of them are written');
      assert.equal(denied.report.flows.length, lines.length);
      assert.equal(lines.at(-1)?.['protocol'], 'icmp');
    } finally {
      stop.abort();
    }
  }));

function assertHolds(line: Record<string, unknown> | undefined, expected: object): void {
  assert.deepEqual({ ...line, ...expected }, line);
}
