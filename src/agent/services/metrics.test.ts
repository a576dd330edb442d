// Names, kinds and labels of the figures, as a dashboard asks for them. That the names are kube-proxy's
// is proved beside a real one (test/kube-proxy).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRegistry } from '../../base/metrics.io.ts';
import { type Changes, PendingChanges } from './changes.ts';
import { type Measured, ServiceMetrics } from './metrics.io.ts';

const PAGE = [
  'calico_services_programming_latency_seconds histogram',
  'kubeproxy_conntrack_reconciler_deleted_entries_total counter',
  'kubeproxy_conntrack_reconciler_sync_duration_seconds histogram',
  'kubeproxy_iptables_ct_state_invalid_dropped_packets_total counter',
  'kubeproxy_iptables_localhost_nodeports_accepted_packets_total counter',
  'kubeproxy_network_programming_duration_seconds histogram',
  'kubeproxy_proxy_healthz_total counter',
  'kubeproxy_proxy_livez_total counter',
  'kubeproxy_sync_full_proxy_rules_duration_seconds histogram',
  'kubeproxy_sync_partial_proxy_rules_duration_seconds histogram',
  'kubeproxy_sync_proxy_rules_duration_seconds histogram',
  'kubeproxy_sync_proxy_rules_endpoint_changes_pending gauge',
  'kubeproxy_sync_proxy_rules_endpoint_changes_total counter',
  'kubeproxy_sync_proxy_rules_iptables_last gauge',
  'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total counter',
  'kubeproxy_sync_proxy_rules_iptables_restore_failures_total counter',
  'kubeproxy_sync_proxy_rules_iptables_total gauge',
  'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds gauge',
  'kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge',
  'kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge',
  'kubeproxy_sync_proxy_rules_service_changes_pending gauge',
  'kubeproxy_sync_proxy_rules_service_changes_total counter',
];

const CHANGES: Changes = { since: 0, services: 1, endpoints: 2, triggers: [] };

function page() {
  const registry = openRegistry();
  const metrics = new ServiceMetrics(registry);
  const changes = new PendingChanges(0);
  const measured: Measured = {
    engine: {
      changes,
      sizes: () => [{ family: 4, table: 'nat', chains: 3, rules: 70_000, lastLines: 9 }],
    },
    model: {
      isLarge: () => false,
      withoutLocalEndpoints: () => ({ internal: 1, external: 2 }),
      udp: () => ({ addresses: new Map(), nodePorts: new Map() }),
      healthChecks: () => new Map(),
      nodePortAddresses: () => undefined,
      isEligible: true,
    },
    families: [4],
    dropped: async () => ({ invalidDropped: 5, localhostAccepted: 6 }),
  };
  metrics.measure(measured);
  return { metrics, changes, text: () => registry.metrics() };
}

test('every figure of services has its name and kind', async () => {
  const { text } = page();
  const kinds = [...(await text()).matchAll(/^# TYPE ((?:kubeproxy|calico_services)_\S+ \S+)/gm)];
  assert.deepEqual(kinds.map(([, kind]) => kind).sort(), PAGE);
});

test('rounds, failures, sizes, changes and answers are told with kube-proxy’s labels', async () => {
  const { metrics, changes, text } = page();
  const { observer, purged, answered } = metrics;
  const round = { commits: 1, lines: 9, latency: 4, changes: CHANGES };
  const trigger = { family: 4, at: Date.now() - 2000 } as const;
  observer.synced(4, { ...round, isFull: true, took: 2000 });
  observer.synced(4, {
    ...round,
    isFull: false,
    took: 3,
    changes: { ...CHANGES, triggers: [trigger] },
  });
  observer.failed(4, false);
  observer.failed(4, true);
  purged(1, 7);
  answered('healthz', 503);
  changes.add('services', [{ metadata: { name: 'a' } }], 0, 86_400_000);
  const told = await text();
  for (const line of [
    'sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} 2',
    'sync_full_proxy_rules_duration_seconds_sum{ip_family="IPv4"} 2',
    'sync_partial_proxy_rules_duration_seconds_bucket{le="0.004",ip_family="IPv4"} 1',
    'network_programming_duration_seconds_count{ip_family="IPv4"} 1',
    'sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"} 2',
    'sync_proxy_rules_iptables_partial_restore_failures_total{ip_family="IPv4"} 1',
    'sync_proxy_rules_iptables_total{table="nat",ip_family="IPv4"} 70000',
    'sync_proxy_rules_iptables_last{table="nat",ip_family="IPv4"} 9',
    'sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"} 1',
    'sync_proxy_rules_no_local_endpoints_total{traffic_policy="external",ip_family="IPv4"} 2',
    'sync_proxy_rules_service_changes_total 1',
    'sync_proxy_rules_service_changes_pending 1',
    'sync_proxy_rules_endpoint_changes_pending 0',
    'sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"} 86400',
    'iptables_ct_state_invalid_dropped_packets_total 5',
    'iptables_localhost_nodeports_accepted_packets_total 6',
    'conntrack_reconciler_deleted_entries_total 7',
    'proxy_healthz_total{code="503"} 1',
  ])
    assert.ok(told.includes(`\nkubeproxy_${line}\n`), line);
  const latency = 'calico_services_programming_latency_seconds_count{ip_family="IPv4"} 2';
  assert.ok(told.includes(`\n${latency}\n`));
});
