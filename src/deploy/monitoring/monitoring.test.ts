// What monitoring asks for is what the programs measure, and every alert ends in a command.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { alerts, printRunbooks } from './alerts.ts';
import { dashboard, queries } from './dashboard.ts';

const SRC = join(import.meta.dirname, '../..');
const PROGRAMS = ['agent', 'speaker', 'controllers', 'base'];

/** The source of all that registers a metric. */
const sources = PROGRAMS.flatMap((folder) =>
  readdirSync(join(SRC, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => /(metrics|invariants)\.io\.ts$/.test(path))
    .map((path) => readFileSync(join(SRC, folder, path), 'utf8')),
).join('\n');

/** Names of metrics in an expression of PromQL. */
export const metricsIn = (expr: string): readonly string[] =>
  [...expr.matchAll(/\b(up|(?:felix|bgp|bfd|calico|ipam|kubeproxy|process)_[a-z0-9_]+)\b/g)].map(
    (match) => match[1]!.replace(/_bucket$/, ''),
  );

const OTHERS = ['up', 'process_cpu_seconds_total', 'process_resident_memory_bytes'];
/** Names that are put together where they are registered. */
const COMPOSED: Readonly<Record<string, string>> = {
  felix_iptables_rules: 'felix_iptables_$',
  calico_policy_packets_total: 'calico_policy_$',
  bgp_peer_messages_received_total: 'bgp_peer_messages_$',
  bgp_peer_messages_sent_total: 'bgp_peer_messages_$',
  kubeproxy_sync_proxy_rules_iptables_restore_failures_total: 'iptables_restore_failures_total',
};

test('every metric that is asked for is measured', () => {
  const asked = [...alerts.map(({ expr }) => expr), ...queries].flatMap(metricsIn);
  assert.ok(new Set(asked).size > 20);
  const missing = [...new Set(asked)].filter(
    (name) => !OTHERS.includes(name) && !sources.includes(COMPOSED[name] ?? `'${name}'`),
  );
  assert.deepEqual(missing, []);
});

test('every alert has a runbook that ends in a command, and a section of its own', () => {
  const runbooks = printRunbooks();
  for (const { name, command } of alerts) {
    assert.match(command, /^kubectl /, name);
    const section = runbooks.split(/^## /m).find((text) => text.startsWith(`${name}\n`));
    assert.ok(section?.trimEnd().endsWith(command), name);
  }
  assert.equal(new Set(alerts.map(({ name }) => name)).size, alerts.length);
});

test('the dashboard is JSON whose panels lie beside one another', () => {
  interface Panel {
    readonly id: number;
    readonly type: string;
    readonly gridPos: { x: number; y: number; w: number; h: number };
  }
  const { panels } = JSON.parse(dashboard()) as { panels: readonly Panel[] };
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  for (const { gridPos: a, id } of panels) {
    assert.ok(a.x + a.w <= 24, String(id));
    for (const { gridPos: b, id: other } of panels.filter((one) => one.id > id)) {
      const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
      assert.ok(apart, `${id} and ${other}`);
    }
  }
});
