import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../net/asn.ts';
import { type Cidr, cidr, cidrOf } from '../net/cidr.ts';
import { ip, ipFromValue } from '../net/ip.ts';
import { encodeMessage } from './codec/message.ts';
import type { Path } from './decide.ts';
import { announcementsFor, type ExportPeer, type ExportPool, updatesBetween } from './export.ts';
import { desiredPeers, type MeshNode, meshNode } from './peers.ts';

const INSIDE: ExportPeer = {
  address: ip('10.0.0.2'),
  asn: 64512 as Asn,
  localAsn: 64512 as Asn,
  localAddress: ip('10.0.0.1'),
  families: [4],
};
const OUTSIDE: ExportPeer = { ...INSIDE, asn: 65000 as Asn };
const BLOCK = cidr('192.168.0.0/26');
const POOL: ExportPool = { cidr: cidr('192.168.0.0/16'), disabled: false, disableBgpExport: false };
const path = (prefix: string, from: string, external: boolean): Path => ({
  prefix: cidr(prefix),
  nextHop: ip(from),
  from: ip(from),
  external,
  routerId: ip(from),
  attributes: {
    origin: 'igp',
    asPath: external ? [{ kind: 'sequence', asns: [65001 as Asn] }] : [],
    med: 7,
    localPref: 200,
  },
});

test('an own block: next hop self, LOCAL_PREF inside the AS, AS_PATH outside', () => {
  assert.deepEqual(
    [...announcementsFor(INSIDE, [BLOCK], [], [POOL])],
    [[BLOCK, { nextHop: '10.0.0.1', attributes: { origin: 'igp', asPath: [], localPref: 100 } }]],
  );
  const outside = announcementsFor(OUTSIDE, [BLOCK], [], [POOL]).get(BLOCK);
  const asPath = [{ kind: 'sequence', asns: [64512] }];
  assert.deepEqual(outside, { nextHop: '10.0.0.1', attributes: { origin: 'igp', asPath } });
});

test('a pool with disableBGPExport is not announced', () => {
  const quiet = { ...POOL, disableBgpExport: true };
  assert.equal(announcementsFor(INSIDE, [BLOCK], [], [quiet]).size, 0);
});

test('learned paths: never from inside to inside, never back, only within enabled pools', () => {
  const names = (peer: ExportPeer, ...best: Path[]) =>
    [...announcementsFor(peer, [], best, [POOL]).keys()].join();
  const internal = path('192.168.1.0/26', '10.0.0.3', false);
  const external = path('192.168.2.0/26', '10.0.0.4', true);
  assert.equal(names(INSIDE, internal, external), '192.168.2.0/26');
  assert.equal(names(OUTSIDE, internal, external), '192.168.1.0/26,192.168.2.0/26');
  assert.equal(names(OUTSIDE, path('192.168.1.0/26', '10.0.0.2', true)), '', 'its own');
  assert.equal(names(OUTSIDE, path('172.16.0.0/26', '10.0.0.3', false)), '', 'in no pool');
  assert.equal(names(OUTSIDE, path('0.0.0.0/0', '10.0.0.3', false)), '', 'default route');
});

test('a learned path toward another AS: next hop self, AS prepended, MED and LOCAL_PREF stay', () => {
  const external = path('192.168.2.0/26', '10.0.0.4', true);
  const told = announcementsFor(OUTSIDE, [], [external], [POOL]).get(external.prefix);
  const asPath = [{ kind: 'sequence', asns: [64512, 65001] }];
  assert.deepEqual(told, { nextHop: '10.0.0.1', attributes: { origin: 'igp', asPath } });
  const inside = announcementsFor(INSIDE, [], [external], [POOL]).get(external.prefix);
  assert.equal(inside?.nextHop, '10.0.0.4');
  assert.equal(inside?.attributes.localPref, 200);
});

test('updates between two states: only the difference, packed, each message small enough', () => {
  const blocks: Cidr[] = Array.from({ length: 3000 }, (_, i) =>
    cidrOf(ipFromValue(0xc0a80000n + BigInt(i) * 16n, 4), 28),
  );
  const all = announcementsFor(INSIDE, blocks, [], [POOL]);
  const updates = updatesBetween(new Map(), all);
  assert.equal(updates.flatMap((u) => u.announced.flatMap((a) => a.prefixes)).length, 3000);
  assert(updates.length < 6, `${updates.length} messages`);
  for (const update of updates) encodeMessage(update, { fourOctetAs: true });
  assert.deepEqual(updatesBetween(all, all), []);
  const fewer = announcementsFor(INSIDE, blocks.slice(1), [], [POOL]);
  assert.deepEqual(updatesBetween(all, fewer), [
    { kind: 'update', withdrawn: [blocks[0]], announced: [] },
  ]);
});

const node = (name: string, ipv4Address: string, more: object = {}): MeshNode =>
  meshNode(name, { ipv4Address, ...more }).node;
const SETTINGS = { meshEnabled: true, asn: 64512 as Asn, listenPort: 179 };

test('mesh: all others but reflectors and nodes without an address; the lower string listens', () => {
  const self = node('b', '10.0.0.10/24');
  const others = [
    self,
    node('a', '10.0.0.9/24'),
    node('c', '10.0.0.1/24', { asNumber: '1.10' }),
    node('d', '10.0.0.11/24', { routeReflectorClusterID: '1.0.0.1' }),
    meshNode('e', undefined).node,
  ];
  const peers = desiredPeers(self, others, SETTINGS);
  assert.deepEqual(
    peers.map((p) => [p.name, p.asn, p.passive, p.port, p.localAddress]),
    [
      ['Mesh_10_0_0_1', 65546, false, 179, '10.0.0.10'],
      ['Mesh_10_0_0_9', 64512, true, 179, '10.0.0.10'],
    ],
  );
});

test('mesh: none when it is off, or for a reflector', () => {
  const nodes = [
    node('a', '10.0.0.1'),
    node('b', '10.0.0.2', { routeReflectorClusterID: '1.1.1.1' }),
  ];
  assert.deepEqual(desiredPeers(nodes[0]!, nodes, { ...SETTINGS, meshEnabled: false }), []);
  assert.deepEqual(desiredPeers(nodes[1]!, nodes, SETTINGS), []);
});

test('mesh: a session of its own for IPv6; two nodes with one address share none', () => {
  const nodes = [
    node('a', '10.0.0.1', { ipv6Address: 'fd00::1/64' }),
    node('b', '10.0.0.2', { ipv6Address: 'fd00::2/64' }),
    node('c', '10.0.0.2'),
  ];
  const peers = desiredPeers(nodes[0]!, nodes, SETTINGS);
  assert.deepEqual(
    peers.map((p) => [p.name, p.node, p.family]),
    [
      ['Mesh_10_0_0_2', 'b', 4],
      ['Mesh_fd00__2', 'b', 6],
    ],
  );
});

test('a Node that cannot be used says why', () => {
  const bad = meshNode('x', { ipv4Address: '10.0.0/24', asNumber: 0 });
  assert.deepEqual(bad.problems, [
    "Node x: '10.0.0/24' is no address",
    "Node x: asNumber '0' is no AS number",
  ]);
});
