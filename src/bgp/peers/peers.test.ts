import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../base/json.ts';
import { parseBgpConfiguration } from '../../model/bgp-configuration.ts';
import { parseBgpFilter } from '../../model/bgp-filter.ts';
import { parseBgpPeer } from '../../model/bgp-peer.ts';
import type { NodeSpec } from '../../model/node.ts';
import { type DesiredPeer, sessionKey } from '../peers.ts';
import { desiredPeers } from './desired.ts';
import { type BgpNode, bgpNode } from './node.ts';

const node = (
  name: string,
  ipv4Address: string,
  bgp: NodeSpec['bgp'] = {},
  labels: Record<string, string> = {},
): BgpNode => bgpNode(name, { ipv4Address, ...bgp }, labels).node;

interface World {
  readonly self: string;
  readonly nodes: readonly BgpNode[];
  readonly cluster?: object;
  readonly clusterAnnotations?: object;
  readonly peers?: Readonly<Record<string, object>>;
  readonly filters?: Readonly<Record<string, object>>;
  readonly secrets?: Readonly<Record<string, string>>;
}

function desired({ self, nodes, cluster, clusterAnnotations, peers, filters, secrets }: World) {
  const metadata = { annotations: clusterAnnotations ?? {} };
  return desiredPeers({
    self: nodes.find(({ name }) => name === self)!,
    nodes,
    workloads: [],
    pools: [],
    cluster: parseBgpConfiguration('default', { metadata, spec: (cluster ?? {}) as Json }).settings,
    peers: Object.entries(peers ?? {}).map(([name, spec]) => {
      const parsed = parseBgpPeer(name, { metadata: {}, spec: spec as Json });
      assert(parsed.ok, parsed.ok ? '' : parsed.error);
      return parsed.value;
    }),
    filters: new Map(
      Object.entries(filters ?? {}).map(([name, spec]) => {
        const parsed = parseBgpFilter(name, spec as Json);
        assert(parsed.ok, parsed.ok ? '' : parsed.error);
        return [name, parsed.value];
      }),
    ),
    secret: ({ name, key }) => secrets?.[`${name}/${key}`],
  });
}
const names = (world: World): string[] => desired(world).peers.map(({ name }) => name);
const only = (world: World): DesiredPeer => {
  const { peers, problems } = desired(world);
  assert.deepEqual([peers.length, problems], [1, []]);
  return peers[0]!;
};

const A = node('a', '10.0.0.9/24');
const B = node('b', '10.0.0.10/24');
const FAR = node('c', '10.0.1.1/24', { asNumber: '1.10' as never });
const REFLECTOR = node('d', '10.0.0.11/24', { routeReflectorClusterID: '1.0.0.1' }, { rr: 'yes' });
const NODES = [A, B, FAR, REFLECTOR, bgpNode('e', undefined).node];

test('mesh: all others but reflectors and nodes without an address; the lower string listens', () => {
  assert.deepEqual(
    desired({ self: 'b', nodes: NODES }).peers.map((p) => [
      ...[p.name, p.kind, p.node, p.asn, p.passive, p.port, p.localAddress],
      p.gracefulRestartSeconds,
    ]),
    [
      ['Mesh_10_0_0_9', 'mesh', 'a', 64512, true, 179, '10.0.0.10', 120],
      ['Mesh_10_0_1_1', 'mesh', 'c', 65546, true, 179, '10.0.0.10', 120],
    ],
  );
});

test('mesh: none when it is off, for a reflector, or when nobody can tell', () => {
  const world = { self: 'a', nodes: NODES };
  assert.deepEqual(names({ ...world, cluster: { nodeToNodeMeshEnabled: false } }), []);
  assert.deepEqual(names({ ...world, self: 'd' }), []);
  assert.deepEqual(names({ ...world, cluster: { nodeToNodeMeshEnabled: 'x' } }), []);
  const asn = { ...world, self: 'c', cluster: { asNumber: 'x' } };
  assert.deepEqual(names(asn), [], 'the others have no AS number of their own');
});

test('mesh: a session of its own for IPv6; two nodes with one address share none', () => {
  const v6 = (address: string) => ({ ipv6Address: address });
  const nodes = [
    node('a', '10.0.0.1', v6('fd00::1/64')),
    node('b', '10.0.0.2', v6('fd00::2/64')),
    node('c', '10.0.0.2'),
  ];
  assert.deepEqual(
    desired({ self: 'a', nodes }).peers.map((p) => [p.name, p.node, p.family]),
    [
      ['Mesh_10_0_0_2', 'b', 4],
      ['Mesh_fd00__2', 'b', 6],
    ],
  );
});

test('mesh: ports, password, restart time, annotations', () => {
  const cluster = {
    listenPort: 1790,
    nodeMeshPassword: { secretKeyRef: { name: 's', key: 'k' } },
    nodeMeshMaxRestartTime: '30s',
  };
  const nodes = [A, { ...B, listenPort: 2000 }];
  const clusterAnnotations = { 'calico-kit.io/bfd': 'on', 'calico-kit.io/hold-time': '9s' };
  const world = { self: 'a', nodes, cluster, clusterAnnotations };
  assert.deepEqual(desired(world), {
    peers: [],
    problems: ['nodeMeshPassword: Secret s key k is not there: no session without its password'],
  });
  const peer = only({ ...world, secrets: { 's/k': 'open sesame' } });
  assert.deepEqual(
    [peer.port, peer.password, peer.gracefulRestartSeconds, peer.holdTimeSeconds, peer.bfd],
    [
      ...[2000, 'open sesame', 30, 9],
      { transmitMs: 150, receiveMs: 150, multiplier: 3, multihop: false },
    ],
  );
  assert.equal(only({ ...world, self: 'b', secrets: { 's/k': 'x' } }).port, 1790);
});

test('a Node that cannot be used says why', () => {
  const bad = bgpNode('x', {
    ipv4Address: '10.0.0/24',
    ipv6Address: '10.0.0.1',
    asNumber: 0,
    routeReflectorClusterID: 'one',
  });
  assert.deepEqual(bad.problems, [
    "Node x: '10.0.0/24' is no IPv4 address",
    "Node x: '10.0.0.1' is no IPv6 address",
    "Node x: routeReflectorClusterID 'one' has no IPv4 form",
    "Node x: asNumber '0' is no AS number",
  ]);
  assert.equal(bad.node.isReflector, true);
});

const TOR = { peerIP: '10.0.0.254', asNumber: 65000 };
const OFF = { nodeToNodeMeshEnabled: false };

test('local side: one node, a selector, or all; never with the own address', () => {
  const racked = node('r', '10.0.0.20/24', {}, { rack: '1' });
  const nodes = [A, racked];
  const of = (self: string, spec: object) =>
    names({ self, nodes, cluster: OFF, peers: { p: { ...TOR, ...spec } } });
  assert.deepEqual(of('a', {}), ['Global_10_0_0_254']);
  assert.deepEqual(of('a', { node: 'a' }), ['Node_10_0_0_254']);
  assert.deepEqual(of('r', { node: 'a' }), []);
  assert.deepEqual(of('r', { nodeSelector: "rack == '1'" }), ['Node_10_0_0_254']);
  assert.deepEqual(of('a', { nodeSelector: "rack == '1'" }), []);
  assert.deepEqual(of('a', { peerIP: '10.0.0.9' }), []);
  assert.deepEqual(of('a', { peerIP: '10.0.0.254:1179' }), ['Global_10_0_0_254_port_1179']);
});

test('an external peer: defaults, and every field of the resource', () => {
  const plain = only({ self: 'a', nodes: [A], peers: { p: TOR } });
  assert.deepEqual(plain, {
    ...{ kind: 'global', name: 'Global_10_0_0_254', node: undefined, address: '10.0.0.254' },
    ...{ port: 179, asn: 65000, localAsn: 64512, localAddress: '10.0.0.9', family: 4 },
    ...{ families: [4], passive: false, password: undefined, ttlSecurityHops: undefined },
    ...{ keepaliveSeconds: undefined, gracefulRestartSeconds: 120, holdTimeSeconds: undefined },
    ...{ allowLocalAsns: 0, nextHopMode: 'auto', reflectorClient: false, clusterId: undefined },
    ...{ filters: [], reachableBy: undefined, bfd: undefined, addPath: true },
    longLivedSeconds: undefined,
    ...{ maxPrefixes: undefined, explicitPolicy: false },
  });
  const full = only({
    self: 'a',
    nodes: [A],
    peers: {
      p: {
        ...TOR,
        ...{ localASNumber: 65001, nextHopMode: 'Self', sourceAddress: 'None' },
        ...{ maxRestartTime: '10s', keepaliveTime: '3s', numAllowedLocalASNumbers: 1 },
        ...{ ttlSecurity: 2, reachableBy: '10.0.0.1', filters: ['f', 'g'] },
        password: { secretKeyRef: { name: 's', key: 'k' } },
      },
    },
    filters: { f: { importV4: [{ action: 'Accept' }] }, g: {} },
    secrets: { 's/k': 'x' },
  });
  assert.deepEqual(
    [full.localAsn, full.nextHopMode, full.localAddress, full.gracefulRestartSeconds],
    [65001, 'self', undefined, 10],
  );
  assert.deepEqual(
    [full.keepaliveSeconds, full.allowLocalAsns, full.ttlSecurityHops, full.reachableBy],
    [3, 1, 2, '10.0.0.1'],
  );
  assert.deepEqual([full.password, full.filters.map(({ name }) => name)], ['x', ['f', 'g']]);
});

test('fail closed: no secret, no address, no AS number; a missing filter rejects all', () => {
  const of = (spec: object, more: Partial<World> = {}) =>
    desired({ self: 'a', nodes: [A], peers: { p: { ...TOR, ...spec } }, ...more });
  const secret = { password: { secretKeyRef: { name: 's', key: 'k' } } };
  assert.deepEqual(of(secret), {
    peers: [],
    problems: ['BGPPeer p: Secret s key k is not there: no session without its password'],
  });
  assert.match(of(secret, { secrets: { 's/k': 'x'.repeat(81) } }).problems[0]!, /longer than 80/);
  assert.match(of({ peerIP: 'fd00::1' }).problems[0]!, /no IPv6 address to speak to fd00::1 from/);
  assert.match(of({ asNumber: null }).problems[0]!, /AS number of 10\.0\.0\.254 is not known/);
  const filtered = of({ filters: ['gone'] });
  assert.deepEqual(filtered.problems, [
    'BGPPeer p: BGPFilter gone is not there: it rejects all routes',
  ]);
  assert.deepEqual(filtered.peers[0]?.filters[0]?.importV4, [
    { match: {}, action: 'reject', operations: [] },
  ]);
});

test('one session to an address and port: Node beats Global beats Mesh', () => {
  const nodes = [A, B];
  const to = { peerIP: '10.0.0.10', asNumber: 64512 };
  const of = (peers: Record<string, object>) => names({ self: 'a', nodes, peers });
  assert.deepEqual(of({}), ['Mesh_10_0_0_10']);
  assert.deepEqual(of({ g: to }), ['Global_10_0_0_10']);
  assert.deepEqual(of({ g: to, n: { ...to, node: 'a' } }), ['Node_10_0_0_10']);
  assert.deepEqual(of({ g: { ...to, peerIP: '10.0.0.10:1179' } }), [
    'Mesh_10_0_0_10',
    'Global_10_0_0_10_port_1179',
  ]);
  const twice = { z: { ...TOR, localASNumber: 1 }, y: { ...TOR, localASNumber: 2 } };
  const world = { self: 'a', nodes: [A], peers: twice };
  assert.equal(desired(world).peers[0]?.localAsn, 2, 'the first by name');
});

test('reflectors by selector: both sides have the session, the reflector has clients', () => {
  const peers = { rr: { nodeSelector: 'all()', peerSelector: "rr == 'yes'" } };
  const second = node('d2', '10.0.0.12/24', { routeReflectorClusterID: '1.0.0.1' }, { rr: 'yes' });
  const nodes = [A, B, REFLECTOR, second];
  const of = (self: string) =>
    desired({ self, nodes, peers, cluster: OFF }).peers.map((p) =>
      [p.name, p.reflectorClient ? 'client' : '', p.clusterId ?? '', p.passive ? 'passive' : '']
        .filter(Boolean)
        .join(' '),
    );
  assert.deepEqual(of('a'), ['Node_10_0_0_11', 'Node_10_0_0_12']);
  assert.deepEqual(of('d'), [
    'Node_10_0_0_9 client 1.0.0.1 passive',
    'Node_10_0_0_10 client 1.0.0.1',
    'Node_10_0_0_12 1.0.0.1 passive',
  ]);
  const manual = { rr: { ...peers.rr, reversePeering: 'Manual' } };
  assert.deepEqual(names({ self: 'd', nodes, peers: manual, cluster: OFF }), ['Node_10_0_0_12']);
});

test('nodes of one AS keep what the other told for a day, whoever reflects; others only as asked for', () => {
  const peers = { rr: { nodeSelector: 'all()', peerSelector: "rr == 'yes'" } };
  const times = (world: Parameters<typeof desired>[0]) =>
    desired(world).peers.map(({ name, longLivedSeconds }) => `${name} ${longLivedSeconds}`);
  assert.deepEqual(times({ self: 'a', nodes: [A, REFLECTOR], peers, cluster: OFF }), [
    'Node_10_0_0_11 86400',
  ]);
  assert.deepEqual(times({ self: 'a', nodes: [A, B] }), ['Mesh_10_0_0_10 86400']);
  const tor = { p: { peerIP: '10.0.0.254', asNumber: 64512 } };
  assert.deepEqual(times({ self: 'a', nodes: [A], peers: tor }), ['Global_10_0_0_254 undefined']);
});

test('reflectors: an external or otherwise numbered peer is no client, an internal router is one', () => {
  const of = (spec: object) =>
    only({ self: 'd', nodes: [REFLECTOR], peers: { p: { peerIP: '10.0.0.254', ...spec } } });
  assert.equal(of({ asNumber: 65000 }).reflectorClient, false);
  assert.equal(of({ asNumber: 64512 }).reflectorClient, true);
  const other = node('x', '10.0.0.30', { routeReflectorClusterID: '2.0.0.2' });
  const world = { self: 'd', nodes: [REFLECTOR, other], peers: { p: { peerSelector: 'all()' } } };
  assert.equal(desired(world).peers[0]?.reflectorClient, true, 'another cluster');
});

test('a Calico node by its address: its port and AS number; the way back has localASNumber', () => {
  const nodes = [A, { ...FAR, listenPort: 1790 }];
  const peer = only({ self: 'a', nodes, cluster: OFF, peers: { p: { peerIP: '10.0.1.1' } } });
  assert.deepEqual([peer.node, peer.port, peer.asn, peer.passive], ['c', 1790, 65546, false]);
  const peers = { p: { node: 'a', peerSelector: 'all()', localASNumber: 65009 } };
  const there = only({ self: 'a', nodes, cluster: OFF, peers });
  const back = only({ self: 'c', nodes, cluster: OFF, peers });
  assert.deepEqual([there.localAsn, there.asn], [65009, 65546]);
  assert.deepEqual([back.localAsn, back.asn, back.name], [65546, 65009, 'Node_10_0_0_9']);
});

test('which changes end a session, and which do not', () => {
  const peer = only({ self: 'a', nodes: [A], peers: { p: TOR } });
  const same = (change: Partial<DesiredPeer>) =>
    sessionKey({ ...peer, ...change }) === sessionKey(peer);
  for (const change of [
    ...[{ name: 'x' }, { kind: 'node' }, { nextHopMode: 'self' }, { allowLocalAsns: 1 }],
    ...[{ reflectorClient: true }, { maxPrefixes: 9 }, { explicitPolicy: true }],
    ...[{ filters: [] }, { reachableBy: peer.address }, { node: 'n' }],
  ])
    assert(same(change as Partial<DesiredPeer>), JSON.stringify(change));
  for (const change of [
    ...[{ asn: 1 }, { localAsn: 1 }, { port: 1 }, { password: 'x' }, { ttlSecurityHops: 1 }],
    ...[{ passive: true }, { addPath: false }, { gracefulRestartSeconds: 0 }, { families: [6] }],
    ...[{ localAddress: undefined }, { holdTimeSeconds: 9 }, { keepaliveSeconds: 1 }],
  ])
    assert(!same(change as Partial<DesiredPeer>), JSON.stringify(change));
});
