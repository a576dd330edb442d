// calico-kit policy counters and policy denied, from packets on a node to the text that is printed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import pino from 'pino';
import { PolicyMetrics } from '../../src/agent/policy-engine/metrics.io.ts';
import { PolicyViews } from '../../src/agent/policy-engine/views.io.ts';
import { serveHealth } from '../../src/base/health.io.ts';
import { Registry } from '../../src/base/metrics.io.ts';
import { inNetnsAt } from '../../src/kernel/namespaces.io.ts';
import { eventually } from '../lab/command.ts';
import { netnsPath } from '../lab/netns.ts';
import { endpoint, type Pod, PROFILE, reaches, stored, withPods } from './policy-pods.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const POLICY = stored('networkpolicies/default/web', 'NetworkPolicy', {
  selector: "app == 'server'",
  types: ['Ingress'],
  ingress: [
    { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
    { action: 'Deny', protocol: 'TCP', destination: { ports: [81] } },
  ],
});

test('counters and denied packets on the command line', (t) =>
  withPods(['a', 'b'], async ({ node, pods, kernel, start }) => {
    const [a, b] = pods as [Pod, Pod];
    const log = pino({ level: 'silent' });
    const stop = new AbortController();
    const registry = new Registry();
    const metrics = new PolicyMetrics(registry);
    const items = [PROFILE, endpoint(a, 'client'), endpoint(b, 'server'), POLICY];
    const engine = start(items, {
      observer: metrics.observer,
      settings: { endpointToHostAction: 'RETURN', ipipEnabled: false, logDenied: true },
    });
    await engine.inSync();
    const views = new PolicyViews();
    views.open({
      engine,
      metrics,
      tables: kernel.tables,
      ipv6Tables: kernel.ipv6Tables,
      settings: { logDeniedFlows: true, cutDeniedFlows: true },
      kernel: { addresses: () => [] },
      connected: () => true,
      log,
      now: () => new Date(),
      signal: stop.signal,
      within: (work) => inNetnsAt(netnsPath(node.name), work),
    });
    const state = () => ({ live: true, ready: true, problems: [] });
    const server = serveHealth({ host: '127.0.0.1', port: 0, state, pages: views.pages });
    await once(server, 'listening');
    const agent = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const ask = async (...args: readonly string[]): Promise<string> => {
      const argv = [MAIN, 'policy', ...args, '--agent', agent];
      return (await promisify(execFile)(process.execPath, argv)).stdout;
    };
    try {
      assert.ok(reaches(a, b.address, 80));
      assert.ok(!reaches(a, b.address, 81));
      assert.ok(!reaches(a, b.address, 82));
      const text = await ask('counters', 'web');
      assert.match(text, /\| ingress +\| +1 \| +1 \| +60 \| Allow tcp to port 80/);
      assert.match(text, /\| ingress +\| +2 \| +1 \| +60 \| Deny tcp to port 81/);
      const { rules } = JSON.parse(await ask('counters', '-o', 'json')) as { rules: object[] };
      assert.ok(rules.length > 2);
      const denied = await eventually('both are told', async () => {
        const answer = await ask('denied');
        return answer.includes('10.65.0.3:82') ? answer : undefined;
      });
      assert.match(denied, /default\/a \(10\.65\.0\.2:\d+\) \| default\/b \(10\.65\.0\.3:81\)/);
      assert.match(denied, /\| default NetworkPolicy default\/web rule 2/);
      assert.match(denied, /\| default end of tier/);
      t.diagnostic(await ask('counters'));
      t.diagnostic(denied);
      const figures = await registry.metrics();
      const labels = 'tier="default",policy="NetworkPolicy default/web",direction="ingress"';
      assert.ok(figures.includes(`calico_policy_packets_total{${labels},action="Deny"} 1\n`));
      assert.ok(figures.includes('calico_denied_flows_logged_total 2\n'));
    } finally {
      stop.abort();
      server.close();
      server.closeAllConnections();
    }
    const { stdout } = (await ask('counters').catch((cause: { stdout: string }) => cause)) as {
      stdout: string;
    };
    assert.match(stdout, /is not running/);
  }));
