import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import pino from 'pino';
import { systemClock } from '../../base/clock.io.ts';
import { Registry } from '../../base/metrics.io.ts';
import { StrictKernel } from '../policy-kernel.cases.ts';
import { PolicyMetrics } from './metrics.io.ts';
import { openNodePolicy } from './open.io.ts';
import { PolicyViews } from './views.io.ts';

const ROOT = '/calico/resources/v3/projectcalico.org/';
const stored = (path: string, kind: string, spec: object) => {
  const labels = { 'projectcalico.org/namespace': 'ns' };
  const metadata = { name: path.split('/').at(-1), namespace: 'ns', labels };
  return { key: ROOT + path, value: JSON.stringify({ kind, metadata, spec }), revision: 1n };
};
const ENDPOINT = stored('workloadendpoints/ns/node1-k8s-a-eth0', 'WorkloadEndpoint', {
  node: 'node1',
  interfaceName: 'calia',
  ipNetworks: ['10.1.0.1/32'],
});
const POLICY = stored('networkpolicies/ns/p', 'NetworkPolicy', {
  ingress: [{ action: 'Allow', source: { selector: "role == 'x'" } }],
});

test('figures of an engine by Felix’s names; latency of each change', async () => {
  const registry = new Registry();
  const kernel = new StrictKernel();
  const metrics = new PolicyMetrics(registry);
  const log = pino({ level: 'silent' });
  const engine = openNodePolicy(
    {
      settings: { endpointToHostAction: 'RETURN', logDeniedFlows: false, guarded: false },
      tables: kernel.tables,
      ipv6Tables: kernel.ipv6Tables,
      ipSets: kernel.ipSets,
      log,
      clock: systemClock,
    },
    { node: 'node1', nodeAddress: () => undefined },
    metrics,
  );
  const views = new PolicyViews();
  assert.equal(await views.pages['/policy/counters']!(), undefined, 'not yet');
  const stop = new AbortController();
  views.open({
    engine,
    metrics,
    tables: kernel.tables,
    ipv6Tables: undefined,
    settings: { logDeniedFlows: false, cutDeniedFlows: false },
    kernel: { addresses: () => [] },
    connected: () => true,
    log,
    now: () => new Date(0),
    signal: stop.signal,
  });
  engine.snapshot([ENDPOINT]);
  await engine.inSync();
  engine.changes([{ kind: 'put', item: POLICY }]);
  const figure = async (line: string): Promise<number | undefined> => {
    const text = (await registry.metrics()).split('\n').find((one) => one.startsWith(`${line} `));
    return text === undefined ? undefined : Number(text.slice(line.length));
  };
  const latency = 'calico_policy_programming_latency_seconds_count{ip_version="4"}';
  while ((await figure(latency)) !== 2) await setImmediate();
  for (const [line, value] of [
    ['felix_active_local_policies', 1],
    ['felix_active_local_selectors', 1],
    ['felix_cluster_num_workload_endpoints', 1],
    ['felix_resync_state', 3],
    ['felix_iptables_restore_errors', 0],
    ['felix_int_dataplane_failures', 0],
  ] as const)
    assert.equal(await figure(line), value, line);
  assert.ok((await figure('felix_iptables_restore_calls'))! >= 5);
  assert.ok((await figure('felix_ipset_calls'))! >= 2);
  assert.ok((await figure('felix_int_dataplane_apply_time_seconds_count'))! >= 2);
  const rules = 'felix_iptables_rules{ip_version="4",table="filter"}';
  assert.ok((await figure(rules))! > 20);
  kernel.refuse = 1;
  engine.changes([{ kind: 'delete', key: POLICY.key, revision: 2n }]);
  while ((await figure('felix_int_dataplane_failures')) !== 1) await setImmediate();
  const errors = (await figure('felix_iptables_restore_errors'))!;
  assert.equal(errors + (await figure('felix_ipset_errors'))!, 1);
  const denied = JSON.parse((await views.pages['/policy/denied']!()) ?? '') as object;
  assert.deepEqual(denied, { enabled: false, suppressed: 0, flows: [] });
  stop.abort();
  await engine.close();
});
