// Others damage the rules while forbidden and allowed datagrams are offered, 1,000 a second of each and of each
// family: of the forbidden not one may arrive, the allowed come again within a second, and what is no workload's
// does not notice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { PolicyEngine } from '../../src/agent/policy-engine.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { type Guard, openGuard } from '../../src/kernel/nftables/guard.io.ts';
import { eventually } from '../lab/command.ts';
import { netnsPath, type TestNetns } from '../lab/netns.ts';
import { ALLOWED, Flood } from './flooding.ts';
import {
  type Bench,
  endpoint,
  exec,
  type Pod,
  PROFILE,
  reaches,
  stored,
  withPods,
} from './policy-pods.ts';

const REPAIRED_MILLISECONDS = 1_000;
const HOST = '10.244.98.1';
const SERVICE = '10.96.0.10';

/** Ingress of the victim. */
const SHUT = stored('networkpolicies/default/knp.default.shut', 'NetworkPolicy', {
  order: 1000,
  selector: "app == 'victim'",
  types: ['Ingress'],
  ingress: [
    { action: 'Allow', protocol: 'UDP', destination: { ports: [ALLOWED] } },
    { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
  ],
});

type Backend = 'nft' | 'legacy';

/** What others do to the rules of one backend. */
const DAMAGES: Readonly<Record<Backend, readonly (readonly [string, ...string[]])[]>> = {
  nft: [
    ['iptables -F', 'iptables -F', 'ip6tables -F'],
    ['an empty table restored', ...emptied('iptables-restore'), ...emptied('ip6tables-restore')],
    ['nft flush ruleset', 'nft flush ruleset'],
    ['tables deleted', 'nft delete table ip filter', 'nft delete table ip6 filter'],
    ['nft flush ruleset again', 'nft flush ruleset'],
  ],
  legacy: [
    ['iptables -F', 'iptables-legacy -F', 'ip6tables-legacy -F'],
    ['an empty table restored', ...emptied('iptables-legacy-restore')],
    ['all flushed', 'iptables-legacy -t raw -F', 'iptables-legacy -F', 'ip6tables-legacy -F'],
  ],
};

function emptied(restore: string): readonly string[] {
  const chains = ['INPUT', 'FORWARD', 'OUTPUT'].map((name) => `:${name} ACCEPT [0:0]`);
  return [`printf '*filter\\n${chains.join('\\n')}\\nCOMMIT\\n' | ${restore}`];
}

const shell = (node: TestNetns, command: string): string => exec(node, 'sh', '-c', command);

/** A namespace that another CNI has wired: its interface is not ours. */
function wireStranger(node: TestNetns, { netns }: Pod): { netns: TestNetns; address: string } {
  const device = 'vethother';
  exec(node, 'ip', 'link', 'del', 'calic');
  exec(
    node,
    'ip',
    'link',
    'add',
    device,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'netns',
    netns.name,
  );
  exec(node, 'ip', 'address', 'add', '10.99.0.1/24', 'dev', device);
  exec(node, 'ip', 'link', 'set', device, 'up');
  exec(netns, 'ip', 'address', 'add', '10.99.0.2/24', 'dev', 'eth0');
  exec(netns, 'ip', 'link', 'set', 'eth0', 'up');
  exec(netns, 'ip', 'route', 'replace', 'default', 'via', '10.99.0.1');
  return { netns, address: '10.99.0.2' };
}

interface Scene {
  readonly bench: Bench;
  readonly guards: Readonly<Record<4 | 6, Guard>>;
  readonly engine: () => PolicyEngine;
  /** IPv4 and IPv6 between pods. */
  readonly floods: readonly Flood[];
  /** Between the host and another CNI's pod, both ways. */
  readonly strangers: readonly Flood[];
}

async function scene(backend: Backend, work: (scene: Scene) => Promise<void>): Promise<void> {
  await withPods(['a', 'b', 'c'], async (bench) => {
    const { node, pods, start } = bench;
    const [a, b, c] = pods as [Pod, Pod, Pod];
    const place = { netnsPath: netnsPath(node.name) };
    const guards = { 4: openGuard(4, place.netnsPath), 6: openGuard(6, place.netnsPath) };
    const tables = await openTables({ ...place, backend });
    const ipv6Tables = await openTables({ ...place, backend, family: 6 });
    const other = wireStranger(node, c);
    const victim = endpoint(b, 'victim', [`${b.ipv6}/128`]);
    const all = [PROFILE, endpoint(a, 'client', [`${a.ipv6}/128`]), victim, SHUT];
    const parts = { guards, guarded: true, tables, ipv6Tables, checkMilliseconds: 500 };
    const floods: Flood[] = [];
    const strangers: Flood[] = [];
    try {
      const engine = start(all, parts);
      await engine.inSync();
      floods.push(new Flood(a, b), new Flood(a, { netns: b.netns, address: b.ipv6 }));
      strangers.push(
        new Flood({ netns: node }, other),
        new Flood(other, { netns: node, address: HOST }),
      );
      await eventually('both guards stand', () =>
        [4, 6].every((f) => guards[f as 4].look()?.isWhole),
      );
      for (const flood of [...floods, ...strangers]) await flood.allowedPasses();
      await work({ bench, guards, engine: () => start(all, parts), floods, strangers });
    } finally {
      for (const flood of [...floods, ...strangers]) flood.close();
      for (const guard of Object.values(guards)) guard.close();
      await tables.close();
      await ipv6Tables.close();
    }
  });
}

/** The machine stood still for so long at most since the last call, as flows tell that nobody touched. */
const stall = (strangers: readonly Flood[]): number =>
  Math.max(...strangers.map((flood) => flood.gap()));

for (const backend of ['nft', 'legacy'] as const) {
  test(`${backend}: whatever others flush, nothing forbidden passes, and what is allowed is back within a second`, () =>
    scene(backend, async ({ bench: { node }, guards, floods, strangers }) => {
      const isKept = guards[4].look()!.isKept; // Linux 6.9
      for (const [name, ...commands] of DAMAGES[backend]) {
        if (!isKept && name.startsWith('nft flush')) continue; // that takes the guard as well
        for (const flood of floods) flood.gap();
        stall(strangers);
        for (const command of commands) shell(node, command);
        await setTimeout(REPAIRED_MILLISECONDS);
        for (const flood of floods) await flood.allowedPasses();
        const limit = REPAIRED_MILLISECONDS + stall(strangers);
        for (const [i, flood] of floods.entries()) {
          flood.assertNoGap(name);
          const gap = flood.gap();
          assert.ok(gap <= limit, `${name}: flow ${i} was out for ${gap} ms, more than ${limit}`);
          console.log(
            `${backend}, ${name}: ${gap.toFixed(0)} ms without (limit ${limit.toFixed(0)})`,
          );
        }
        for (const family of [4, 6] as const)
          assert.ok(guards[family].look()?.isWhole, `${name}: the guard of IPv${family} stands`);
      }
      for (const family of [4, 6] as const)
        assert.ok(guards[family].look()!.dropped > 0, 'it was the guard that stopped them');
    }));
}

test('while the agent is dead too: nothing forbidden passes, and hosts and other CNIs go on', () =>
  scene('nft', async ({ bench, guards, engine, floods, strangers }) => {
    const { node, pods } = bench;
    const [a, b] = pods as [Pod, Pod];
    const host = { ...a, netns: node };
    const onHost = [
      '-p',
      'tcp',
      '--dport',
      '80',
      '-j',
      'DNAT',
      '--to-destination',
      `${b.address}:80`,
    ];
    exec(node, 'iptables', '-t', 'nat', '-A', 'PREROUTING', '-d', SERVICE, ...onHost);
    assert.ok(reaches(a, SERVICE, 80) && reaches(a, HOST, 81), 'a service, and the host');
    await bench.stop();
    for (const guard of Object.values(guards)) guard.close();
    assert.match(exec(node, 'nft', 'list', 'tables'), /calico-kit-guard/, 'the guard stays');

    exec(node, 'iptables', '-F');
    exec(node, 'ip6tables', '-F');
    for (const flood of floods) flood.gap();
    assert.ok(!reaches(a, SERVICE, 80) && !reaches(a, HOST, 81), 'new ones wait for their rules');
    assert.ok(reaches(host, b.address, 81), 'the host reaches its pods, as ever');
    for (const flood of strangers) await flood.allowedPasses();
    for (const flood of floods) flood.assertNoGap('without an agent');

    const again = engine();
    await again.inSync();
    for (const flood of floods) await flood.allowedPasses();
    assert.ok(reaches(a, SERVICE, 80) && reaches(a, HOST, 81), 'repaired');
    for (const flood of floods) flood.assertNoGap('after the restart');
  }));
