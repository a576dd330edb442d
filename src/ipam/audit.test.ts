import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type IpamBlock, printIpam } from '../model/ipam.ts';
import {
  affinityKey,
  blockKey,
  handleKey,
  IPAM_CONFIG_KEY,
  namespacedKey,
  resourceKey,
} from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import { type Cidr, cidr } from '../net/cidr.ts';
import { auditIpam, leakedAddresses } from './audit.ts';
import { assignOne, emptyBlock } from './block.ts';

const range = cidr('10.0.0.0/30');
const sound: IpamBlock = assignOne(
  emptyBlock({ cidr: range, owner: 'host:a', claimedAt: 't', sequenceNumber: 7n }),
  { handle_id: 'net.c1', secondary: { node: 'a' } },
).block;

const blockItem = (block: object, at: Cidr = range) => ({
  key: blockKey(at),
  value: printIpam(block as IpamBlock),
});
const affinity = (node: string) => ({
  key: affinityKey(node, range),
  value: '{"state":"confirmed","deleted":false}',
});
const handle = (id: string, count: number) => ({
  key: handleKey(id),
  value: printIpam({ block: { [range]: count }, deleted: false }),
});
const endpoint = (name: string, ip: string, containerID: string) => ({
  key: namespacedKey('workloadendpoints', 'default', name),
  value: printResource({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name, namespace: 'default' },
    spec: { orchestrator: 'k8s', node: 'a', endpoint: 'eth0', containerID, ipNetworks: [ip] },
  }),
});

const good = [
  blockItem(sound),
  affinity('a'),
  handle('net.c1', 1),
  endpoint('w1', '10.0.0.0/32', 'c1'),
];

test('a sound store has no violations and no leak', () => {
  assert.deepEqual(auditIpam(good), []);
  assert.deepEqual(leakedAddresses(good), []);
});

test('an address of another plugin is no business of ours: it lies in no pool', () => {
  const pool = {
    key: resourceKey('ippools', 'p'),
    value: printResource({
      kind: 'IPPool',
      apiVersion: API_VERSION,
      metadata: { name: 'p' },
      spec: { cidr: '10.0.0.0/24' },
    }),
  };
  assert.deepEqual(auditIpam([...good, pool, endpoint('w2', '172.16.0.1/32', 'c9')]), []);
  assert.match(
    auditIpam([...good, pool, endpoint('w2', '10.0.0.3/32', 'c9')]).join(),
    /^I2: 10\.0\.0\.3 .* is not allocated$/,
  );
});

test('each violation is named', () => {
  const without = (at: number) => good.filter((_, i) => i !== at);
  const inner = emptyBlock({
    cidr: cidr('10.0.0.2/31'),
    owner: 'host:b',
    claimedAt: 't',
    sequenceNumber: 7n,
  });
  const strict = { key: IPAM_CONFIG_KEY, value: '{"strict_affinity":true}' };
  const borrowed = assignOne(sound, { handle_id: 'net.c2', secondary: { node: 'b' } }).block;
  const cases: [string, readonly { key: string; value: string }[], RegExp][] = [
    ['two endpoints', [...good, endpoint('w2', '10.0.0.0/32', 'c1')], /^I1: 10\.0\.0\.0 .*w1 and/],
    ['not allocated', [...good, endpoint('w2', '10.0.0.1/32', 'c2')], /^I2: 10\.0\.0\.1 .*not al/],
    ['another handle', [...without(3), endpoint('w1', '10.0.0.0/32', 'c9')], /^I2: .* net\.c1$/],
    ['two owners', [...good, affinity('b')], /^I4: .* host:a and host:b$/],
    ['other owner', [...without(1), affinity('b')], /^I4: .* says host:a, .* says host:b$/],
    ['handle too high', [...without(2), handle('net.c1', 2)], /^I5: .* counted 2, held 1$/],
    ['no handle', without(2), /^I5: .* counted 0, held 1$/],
    ['overlap', [...good, blockItem(inner, inner.cidr)], /^block 10\.0\.0\.2\/31 lies in block 10/],
    [
      'strict',
      [blockItem(borrowed), ...without(0), handle('net.c2', 1), strict],
      /^I7: 10\.0\.0\.1 of node b/,
    ],
    ['unreadable', [...good, { key: handleKey('x'), value: '' }], /handle\/x cannot be read$/],
    [
      'freed twice',
      [blockItem({ ...sound, unallocated: [1, 2, 3, 3] }), ...without(0)],
      /unallocated twice$/,
    ],
    [
      'in both lists',
      [blockItem({ ...sound, unallocated: [0, 1, 2, 3] }), ...without(0)],
      /ordinal 0 is in both/,
    ],
    [
      'dead attribute',
      [blockItem({ ...sound, attributes: [...sound.attributes, {}] }), ...without(0)],
      /attribute 1 is not referenced/,
    ],
  ];
  for (const [what, items, expected] of cases) {
    const found = auditIpam(items);
    assert.equal(found.length, 1, `${what}: ${found.join('; ')}`);
    assert.match(found[0]!, expected, what);
  }
});

test('an address of a pod without endpoint is a leak; a tunnel address is none', () => {
  assert.deepEqual(leakedAddresses(good.slice(0, 3)), ['I3: 10.0.0.0 of net.c1']);
  const attribute = {
    handle_id: 'ipip-tunnel-addr-a',
    secondary: { node: 'a', type: 'ipipTunnelAddress' },
  };
  const tunnel = assignOne({ ...sound, allocations: sound.allocations }, attribute).block;
  assert.deepEqual(leakedAddresses([blockItem(tunnel), good[3]!]), []);
});
