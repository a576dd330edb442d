// What pods' packets carry as DSCP when they leave the cluster, counted by the kernel where they arrive.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyEngine } from '../../src/agent/policy-engine.io.ts';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { attempt } from '../lab/command.ts';
import { netnsPath, type TestNetns } from '../lab/netns.ts';
import { endpoint, exec, type Pod, PROFILE, stored, withPods } from './policy-pods.ts';

const ECHO = ['-p', 'icmp', '--icmp-type', '8'];
const ECHO_V6 = ['-p', 'icmpv6', '--icmpv6-type', '128'];
const FAMILIES = [
  { command: 'iptables-nft', version: '-4', echo: ECHO, to: ({ address }: Pod) => address },
  { command: 'ip6tables-nft', version: '-6', echo: ECHO_V6, to: ({ ipv6 }: Pod) => ipv6 },
] as const;
const PINGS = 2;

/** DSCP of one's pings as they arrive, for either family. */
function arriving(from: Pod, pod: Pod): readonly string[] {
  return FAMILIES.map(({ command, version, echo, to }) => {
    const table = (...argv: string[]) => exec(pod.netns, command, '-t', 'mangle', ...argv);
    table('-F', 'INPUT');
    for (const dscp of [0, 8, 46]) table('-A', 'INPUT', ...echo, '-m', 'dscp', '--dscp', `${dscp}`);
    const ping = ['ping', version, `-c${PINGS}`, '-i0.1', '-W1', to(pod)];
    assert.ok(attempt(['ip', 'netns', 'exec', from.netns.name, ...ping]).ok, `${version} passes`);
    const counted = exec(pod.netns, `${command}-save`, '-c', '-t', 'mangle');
    return [...counted.matchAll(/^\[(\d+):.* --dscp (\w+)/gm)]
      .filter(([, packets]) => Number(packets) === PINGS)
      .map(([, , dscp]) => `${Number(dscp)}`)
      .join();
  });
}

async function scenario(engine: PolicyEngine, node: TestNetns, a: Pod, b: Pod): Promise<void> {
  const nets = (pod: Pod) => [`${pod.ipv6}/128`];
  const other = endpoint(b, 'other', nets(b));
  const ask = async (dscp: string | number | undefined): Promise<void> => {
    const spec = dscp === undefined ? {} : { qosControls: { dscp } };
    const { key, value } = endpoint(a, 'marked', nets(a), spec);
    await engine.putEndpoint(key, value);
  };
  await engine.inSync();
  await engine.putEndpoint(other.key, other.value);
  await ask('EF');
  assert.deepEqual(arriving(a, b), ['46', '46'], 'to the outside');
  assert.deepEqual(arriving(b, a), ['0', '0'], 'others’ packets keep theirs');
  await ask(8);
  assert.deepEqual(arriving(a, b), ['8', '8'], 'changed while the pod runs');
  const pools = [`${b.address}/32`, `${b.ipv6}/128`].map((cidr, i) =>
    stored(`ippools/pool${i}`, 'IPPool', { cidr }),
  );
  engine.changes(pools.map((item) => ({ kind: 'put', item }) as const));
  await ask(8);
  assert.deepEqual(arriving(a, b), ['0', '0'], 'to an address of a pool');
  engine.changes(pools.map(({ key }) => ({ kind: 'delete', key, revision: 2n }) as const));
  await ask(undefined);
  assert.deepEqual(arriving(a, b), ['0', '0'], 'no more');
  assert.doesNotMatch(exec(node, 'iptables-nft-save'), /egress-dscp/);
  assert.doesNotMatch(exec(node, 'iptables-legacy-save'), /egress-dscp/);
}

for (const backend of ['nft', 'legacy'] as const)
  test(`DSCP of packets to the outside, both families, ${backend}`, () =>
    withPods(['a', 'b'], async ({ node, pods, start }) => {
      const place = { netnsPath: netnsPath(node.name), backend };
      const tables = await openTables(place);
      const ipv6Tables = await openTables({ ...place, family: 6 });
      const engine = start([PROFILE], { tables, ipv6Tables });
      try {
        await scenario(engine, node, pods[0]!, pods[1]!);
      } finally {
        await engine.close();
        await Promise.all([tables.close(), ipv6Tables.close()]);
      }
    }));
