import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../../base/json.ts';
import { settingsFrom } from '../../model/settings/settings.ts';
import { goodValues } from '../values.cases.ts';
import { linesOf, planOf } from './plan.ts';

function settingsOf(user: Json) {
  const result = settingsFrom(user);
  assert.ok(result.ok, result.ok ? '' : result.error.join('\n'));
  return result.value;
}
const plan = (before: Json, after: Json) => planOf(settingsOf(before), settingsOf(after));

test('the same values change nothing', () => {
  fc.assert(
    fc.property(goodValues, (values) => {
      const settings = settingsOf(JSON.parse(JSON.stringify(values)) as Json);
      assert.deepEqual(linesOf(planOf(settings, settings)), ['nothing changes']);
    }),
    { numRuns: 20 },
  );
});

test('another log level restarts the agents and nothing else', () => {
  assert.deepEqual(linesOf(plan({}, { conf: { node: { LOG_LEVEL: 'debug' } } })), [
    '~ DaemonSet calico-node',
    '    spec.template.spec.containers[calico-node].env[LOG_LEVEL].value: "info" -> "debug"',
    '    spec.template.spec.containers[bgp].env[LOG_LEVEL].value: "info" -> "debug"',
    '~ Deployment calico-kube-controllers',
    '    spec.template.spec.containers[calico-kube-controllers].env[LOG_LEVEL].value: "info" -> "debug"',
    '',
    'What it does to a cluster that runs:',
    '  restarts  calico-node restarts node by node; routes and rules stay, pods keep their connections, ' +
      'new pods of the node wait a few seconds',
    '  restarts  calico-kube-controllers restarts; changes of namespaces and policies wait a few seconds',
  ]);
});

const pool = (cidr: string) => ({ networking: { pools: [{ name: 'edge', cidr }] } });
const peers = (...addresses: string[]) => ({
  networking: {
    bgp: {
      ipv4: {
        peers: addresses.map((peerIP, i) => ({ metadata: { name: `p${i}` }, spec: { peerIP } })),
      },
    },
  },
});
const EFFECTS: [what: string, before: Json, after: Json, effect: RegExp][] = [
  [
    'podSubnet',
    {},
    { networking: { podSubnet: '10.1.0.0/16' } },
    /^refused networking.podSubnet: the pool/,
  ],
  [
    'AS number',
    {},
    { networking: { bgp: { asnumber: 65000 } } },
    /^disrupts networking.bgp.asnumber: every/,
  ],
  [
    'MTU',
    {},
    { networking: { mtu: 9000 } },
    /^live networking.mtu: .* 8980 instead of 1480 .*once the upgrade has restarted the node pod/,
  ],
  [
    'MTU, which restarts',
    {},
    { networking: { mtu: 9000 } },
    /^restarts calico-node restarts node by node/,
  ],
  [
    'MTU by another encapsulation',
    {},
    {
      networking: { settings: { ippool: { ipip: { mode: 'Never' }, vxlan: { mode: 'Always' } } } },
    },
    /^live networking.mtu: pods get an MTU of 1450 instead of 1480 when they are made anew; those/,
  ],
  [
    'MTU where nothing rolls',
    { pod: { calico_node: { update_strategy: 'OnDelete' } } },
    { pod: { calico_node: { update_strategy: 'OnDelete' } }, networking: { mtu: 9000 } },
    /^live networking.mtu: .* once you have deleted the node pod of their node/,
  ],
  [
    'a restart where nothing rolls',
    { pod: { calico_node: { update_strategy: 'OnDelete' } } },
    { pod: { calico_node: { update_strategy: 'OnDelete' } }, networking: { mtu: 9000 } },
    /^restarts calico-node restarts on a node once you have deleted its pod/,
  ],
  [
    'from VXLAN without speakers to plain routes at once',
    {
      networking: { settings: { ippool: { ipip: { mode: 'Never' }, vxlan: { mode: 'Always' } } } },
      conf: { node: { CALICO_NETWORKING_BACKEND: 'vxlan' } },
    },
    { networking: { settings: { ippool: { ipip: { mode: 'Never' } } } } },
    /^disrupts .*vxlan.mode: .* set conf.node.CALICO_NETWORKING_BACKEND: bird first/,
  ],
  [
    'from plain routes to VXLAN without speakers at once',
    { networking: { settings: { ippool: { ipip: { mode: 'Never' } } } } },
    {
      networking: { settings: { ippool: { ipip: { mode: 'Never' }, vxlan: { mode: 'Always' } } } },
      conf: { node: { CALICO_NETWORKING_BACKEND: 'vxlan' } },
    },
    /^disrupts conf.node.CALICO_NETWORKING_BACKEND: .* set networking.settings.ippool.vxlan.mode first/,
  ],
  [
    'tunnel',
    {},
    { networking: { settings: { ippool: { ipip: { mode: 'Never' } } } } },
    /^disrupts .*ipip.mode: routes/,
  ],
  [
    'address of etcd',
    {},
    { etcd: { clusterIP: '10.96.0.9' } },
    /^refused etcd.clusterIP: the address of a Service/,
  ],
  ['a pool leaves', pool('10.20.0.0/16'), {}, /^live pool edge: disabled and kept/],
  [
    'a pool moves',
    pool('10.20.0.0/16'),
    pool('10.21.0.0/16'),
    /^refused pool edge: cidr and blockSize/,
  ],
  [
    'a peer leaves',
    peers('10.0.0.1', '10.0.0.2'),
    peers('10.0.0.1'),
    /^disrupts BGP peer p1: its session ends$/,
  ],
  [
    'a field of Felix',
    {},
    { felixConfiguration: { vxlanPort: 4790 } },
    /^live felixConfiguration: running agents/,
  ],
  [
    'another network configuration',
    {},
    { conf: { cni_network_config: { name: 'x', plugins: [{ type: 'calico' }] } } },
    /^restarts calico-node restarts node by node/,
  ],
  ['an object leaves', {}, { rbac: { create: false } }, /^disrupts ClusterRole calico-node goes$/],
  [
    'etcd restarts',
    {},
    { pod: { etcd: { labels: { a: 'b' } } } },
    /^disrupts calico-etcd restarts/,
  ],
];
for (const [what, before, after, effect] of EFFECTS) {
  test(`plan: ${what}`, () => {
    const { effects } = plan(before, after);
    const words = effects.map((one) => `${one.kind} ${one.words}`);
    assert.ok(
      words.some((text) => effect.test(text)),
      words.join('\n'),
    );
  });
}

test('another spelling of a switch is no change of it', () => {
  const mesh = (value: Json) => ({ networking: { settings: { mesh: value } } });
  assert.deepEqual(plan(mesh('on'), mesh(true)).effects, []);
});

test('the gravest comes first', () => {
  const { effects } = plan(pool('10.20.0.0/16'), {
    networking: { pools: [{ name: 'edge', cidr: '10.21.0.0/16' }], mtu: 9000 },
    conf: { node: { LOG_LEVEL: 'debug' } },
  });
  assert.deepEqual(
    effects.map(({ kind }) => kind),
    ['refused', 'restarts', 'restarts', 'live'],
  );
});
