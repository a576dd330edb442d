import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../base/json.ts';
import { parseBgpConfiguration } from '../../model/bgp-configuration.ts';
import { type BgpFilter, parseBgpFilter } from '../../model/bgp-filter.ts';
import { parseBgpPeer } from '../../model/bgp-peer.ts';
import type { Asn } from '../../net/asn.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import type { DesiredPeer } from '../peers.ts';
import { tableOfNeighbours } from '../table/neighbour.cases.ts';
import { desiredPeers } from './desired.ts';
import { bgpNode } from './node.ts';
import { type BgpWorkload, WORKLOAD_PREFIXES_MAX } from './workloads.ts';

const SELF = bgpNode('a', { ipv4Address: '10.0.0.1/24' }, { zone: 'x' }).node;
const OTHER = bgpNode('b', { ipv4Address: '10.0.1.2/24', ipv6Address: 'fd00:b::2/64' }).node;
const BOTH = {
  localWorkloadPeeringIPV4: '169.254.0.179',
  localWorkloadPeeringIPV6: 'fd12:3456:789a::1',
};
const pod = (
  name: string,
  labels: Record<string, string>,
  ...addresses: string[]
): BgpWorkload => ({
  name: `default/${name}`,
  interfaceName: `cali${name}`,
  labels: (label) => labels[label],
  addresses: addresses.map(ip),
});
const RED = pod('red', { color: 'red' }, '192.168.1.5', 'fd80:24::5');
const BLUE = pod('blue', { color: 'blue' }, '192.168.1.6');

const desired = (
  peers: Readonly<Record<string, object>>,
  cluster: object = BOTH,
  filters: ReadonlyMap<string, BgpFilter> = new Map(),
) =>
  desiredPeers({
    self: SELF,
    nodes: [SELF, OTHER],
    workloads: [RED, BLUE],
    pools: [{ cidr: cidr('192.168.0.0/16') }],
    cluster: parseBgpConfiguration('default', {
      metadata: {},
      spec: { nodeToNodeMeshEnabled: false, ...cluster } as Json,
    }).settings,
    peers: Object.entries(peers).map(([name, spec]) => {
      const parsed = parseBgpPeer(name, { metadata: {}, spec: spec as Json });
      assert(parsed.ok, parsed.ok ? '' : parsed.error);
      return parsed.value;
    }),
    filters,
    secret: () => undefined,
  });
const names = (...args: Parameters<typeof desired>) =>
  desired(...args).peers.map(({ name, asn }) => `${name} ${asn}`);

const REDS = { localWorkloadSelector: "color == 'red'", asNumber: 65401 };

test('a session with each selected pod and family, from the peering address, connected', () => {
  const { peers, problems } = desired({ p: REDS });
  assert.deepEqual(problems, []);
  assert.deepEqual(
    peers.map((p) => [
      ...[p.name, p.kind, p.address, p.localAddress, p.port, p.asn, p.localAsn, p.passive],
      ...[p.workload?.name, p.workload?.interfaceName, p.maxPrefixes, p.longLivedSeconds, p.node],
    ]),
    [
      ['192.168.1.5', '169.254.0.179'],
      ['fd80:24::5', 'fd12:3456:789a::1'],
    ].map(([address, local]) => [
      ...[`Local_Workload_${address!.replaceAll(/[.:]/g, '_')}`, 'workload', address, local, 179],
      ...[65401, 64512, false, 'default/red', 'calired', WORKLOAD_PREFIXES_MAX],
      ...[undefined, undefined],
    ]),
  );
});

test('only families with a peering address; without any the wish is refused by name', () => {
  const one = { localWorkloadPeeringIPV4: '169.254.0.179' };
  assert.deepEqual(names({ p: REDS }, one), ['Local_Workload_192_168_1_5 65401']);
  assert.deepEqual(desired({ p: REDS }, {}), {
    peers: [],
    problems: [
      'BGPPeer p: BGPConfiguration default has neither localWorkloadPeeringIPV4 nor ' +
        'localWorkloadPeeringIPV6',
    ],
  });
  assert.deepEqual(desired({ p: { ...REDS, node: 'b' } }, {}).problems, [], 'not of this node');
});

test('only on the selected nodes; a resource for nodes wins over one for all, then the first name', () => {
  assert.deepEqual(names({ p: { ...REDS, node: 'b' } }), []);
  assert.deepEqual(names({ p: { ...REDS, nodeSelector: "zone == 'y'" } }), []);
  const all = { localWorkloadSelector: "color == 'blue'", asNumber: 65000 };
  const here = { ...all, nodeSelector: "zone == 'x'", asNumber: 65002 };
  assert.deepEqual(names({ a: all, b: { ...all, asNumber: 65001 } }), [
    'Local_Workload_192_168_1_6 65000',
  ]);
  assert.deepEqual(names({ a: all, z: here }), ['Local_Workload_192_168_1_6 65002']);
});

/** The red pod's session over IPv4 in a table that has told of it. */
function world(spec: object, filter?: object) {
  const parsed = parseBgpFilter('f', { importV4: filter ? [filter] : [] } as Json);
  assert(parsed.ok);
  const filters = new Map([['f', parsed.value]]);
  const cluster = { ...BOTH, serviceClusterIPs: [{ cidr: '10.96.0.0/12' }] };
  const { peers } = desired({ p: { ...REDS, ...spec } }, cluster, filters);
  const [peer] = peers as [DesiredPeer];
  const table = tableOfNeighbours();
  table.up('5', {}, peer);
  const asPath = [{ kind: 'sequence' as const, asns: [65401 as Asn] }];
  const tellVia = (nextHop: string, ...prefixes: string[]) =>
    table.tellVia('5', ip(nextHop), { asPath }, ...prefixes);
  return { ...table, tellVia };
}

test('a pod is believed what is outside, through itself, and nothing that the cluster has', () => {
  const table = world({});
  const outside = ['10.123.0.0/26', '172.16.0.0/12'];
  const inside = ['192.168.7.0/26', '192.168.7.9/32', '10.0.1.9/32', '10.0.0.0/24'];
  const vast = ['0.0.0.0/0', '0.0.0.0/1', '10.0.0.0/7'];
  const nobodys = ['169.254.169.254/32', '127.0.0.0/8', '224.0.0.5/32', '240.0.0.0/4'];
  table.tellVia('192.168.1.5', ...outside, ...inside, ...vast, ...nobodys, '10.96.0.10/32');
  assert.equal(table.learned(), outside.join(' '));
  assert.deepEqual(table.hops('10.123.0.0/26'), ['192.168.1.5']);
  table.tellVia('10.0.1.2', '172.16.0.0/12');
  assert.equal(table.learned(), '10.123.0.0/26', 'the next hop is somebody else');
});

test('a filter that accepts comes before the guard', () => {
  const accept = { cidr: '192.168.7.0/24', matchOperator: 'In', action: 'Accept' };
  const table = world({ filters: ['f'] }, accept);
  table.tellVia('192.168.1.5', '192.168.7.0/26', '192.168.8.0/26', '10.123.0.0/26');
  assert.equal(table.learned(), '10.123.0.0/26 192.168.7.0/26');
});

test('nodes hear of a pod that this node leads to it, inside the AS too', () => {
  const accept = { cidr: '192.168.7.0/24', matchOperator: 'In', action: 'Accept' };
  const table = world({ filters: ['f'] }, accept);
  const node = table.up('9', {}, { reflectorClient: false, clusterId: undefined });
  table.tellVia('192.168.1.5', '192.168.7.0/26');
  const told = [...node.routes.values()].find((words) => words.startsWith('192.168.7.0/26'));
  assert.match(told ?? '', /^192\.168\.7\.0\/26 10\.0\.0\.100 /);
});
