// Settings that hold whole objects: pools, BGP peers, communities and policies. The controllers
// turn them into Calico resources (controllers/settings); the structure of each is checked here.
import Type from 'typebox';
import type { Json } from '../../base/json.ts';
import { closed, integer, map, optional, orNull, text } from './parts.ts';

const ASN_MAX = 4294967295;
const asn = (description: string) => optional.whole(1, ASN_MAX, description);
const name = Type.String({ maxLength: 253, description: 'Name of the object' });
const texts = Type.Optional(
  Type.Unsafe<Readonly<Record<string, string>>>({
    type: 'object',
    additionalProperties: { type: 'string' },
  }),
);

const MODES = ['Always', 'CrossSubnet', 'Never'] as const;

const Pool = map({
  name,
  cidr: Type.String({ description: 'Prefix of the pool, IPv4 or IPv6' }),
  blockSize: optional.whole(20, 128, 'Prefix length of a block: 20 to 32, IPv6 116 to 128'),
  ipipMode: optional.word(MODES, 'IP-in-IP between nodes'),
  vxlanMode: optional.word(MODES, 'VXLAN between nodes'),
  natOutgoing: optional.flag('Pods reach addresses outside all pools with their node’s address'),
  disabled: optional.flag('Give no further addresses out of the pool'),
  disableBGPExport: optional.flag('Tell no BGP peer of the pool’s blocks'),
  nodeSelector: optional.text('Nodes that use the pool'),
  namespaceSelector: optional.text('Namespaces whose pods use the pool'),
  allowedUses: Type.Optional(
    Type.Array(
      Type.Unsafe<string>({ type: 'string', enum: ['Workload', 'Tunnel', 'LoadBalancer'] }),
      { description: 'What addresses are for: Workload, Tunnel, LoadBalancer' },
    ),
  ),
  assignmentMode: optional.word(['Automatic', 'Manual'], 'Manual: only pods that ask for the pool'),
});

/** Pools besides the one of networking.podSubnet. */
export const pools = Type.Array(Pool, {
  default: [],
  description: 'Further pools: name, cidr, and fields of an IPPool',
});
export type PoolSetting = Type.Static<typeof Pool>;

const Peer = map({
  apiVersion: optional.text('projectcalico.org/v3'),
  kind: optional.word(['BGPPeer'], 'BGPPeer'),
  metadata: map({ name, labels: texts, annotations: texts }),
  spec: map({
    node: optional.text('The one node that has the peering'),
    nodeSelector: optional.text('Nodes that have the peering; with no node: all'),
    peerIP: optional.text('Address of the peer, with a port if it is not 179'),
    asNumber: asn('AS number of the peer'),
    peerSelector: optional.text('Nodes that are the peers'),
    localASNumber: asn('Our AS number towards this peer'),
    keepOriginalNextHop: optional.flag('Next hops are told as they were learned'),
    nextHopMode: optional.word(['Auto', 'Self', 'Keep'], 'Next hop of what the peer is told'),
    password: Type.Optional(
      map(
        {
          secretKeyRef: map({
            name: Type.String({ description: 'Secret with the TCP MD5 key of the session' }),
            key: Type.String({ description: 'Its key there' }),
          }),
        },
        'TCP MD5 key',
      ),
    ),
    sourceAddress: optional.word(['UseNodeIP', 'None'], 'Our address of the session'),
    maxRestartTime: optional.text('Time that routes outlive a restarting peer, such as 120s'),
    keepaliveTime: optional.text('Time between keepalives, such as 30s'),
    numAllowedLocalASNumbers: optional.whole(0, 255, 'Own AS numbers allowed in a path'),
    ttlSecurity: optional.whole(0, 255, 'Hops to the peer (GTSM, RFC 5082)'),
    reachableBy: optional.text('Gateway to the peer'),
    filters: optional.texts('Names of BGPFilters'),
    reversePeering: optional.word(['Auto', 'Manual'], 'Peerings of selected nodes back to ours'),
  }),
});
export type PeerSetting = Type.Static<typeof Peer>;

const Community = map({
  cidr: Type.String({ description: 'Routes within it carry the community' }),
  community: Type.Integer({ minimum: 0, maximum: 65535 }),
  prefix: optional.whole(0, 65535, 'First half of the community; without: the AS number'),
});

const port = (description: string) => optional.whole(1, 65535, description);

const Family = map({
  peers: Type.Optional(Type.Array(Peer, { description: 'BGPPeer objects' })),
  community_cidr_ref: Type.Optional(
    orNull(Type.Record(Type.String(), Community), 'Communities of routes by name'),
  ),
  additional_cidrs: optional.texts(
    'Prefixes: what of them a node has a route or an address of is told to its peers',
  ),
  port: Type.Optional(
    map({
      listen: port('TCP port that the nodes listen on'),
      neighbor: port('TCP port of peers that name none'),
    }),
  ),
});
export type FamilySetting = Type.Static<typeof Family>;

export const routeReflectors = map({
  per_zone: integer(
    0,
    0,
    16,
    'Nodes of each zone that become route reflectors by themselves and replace the mesh; 0: none, or all that node_selector names',
  ),
  node_selector: text(
    '',
    'Nodes that may become route reflectors, by their labels: has(edge), role == "spine"; empty: any',
  ),
});

/** What openstack-helm has for each address family. */
export const addressFamily = (family: 'IPv4' | 'IPv6') =>
  Type.Optional(
    Type.Unsafe<FamilySetting | null>(
      orNull(Family, `${family}: peers, community_cidr_ref, additional_cidrs and port; or nothing`),
    ),
  );

/** An object of projectcalico.org/v3 as a user writes it. */
export interface ObjectSetting {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: Json;
}

export interface PolicySetting {
  /** 0 is applied first. */
  readonly priority: number;
  readonly rules: readonly ObjectSetting[];
}

/** Kinds that may stand among the policies. */
export const POLICY_KINDS = [
  'BGPFilter',
  'GlobalNetworkPolicy',
  'GlobalNetworkSet',
  'HostEndpoint',
  'IPReservation',
  'NetworkPolicy',
  'NetworkSet',
  'Tier',
] as const;

const metadata = {
  type: 'object',
  required: ['name'],
  properties: { name: { type: 'string' }, namespace: { type: 'string' } },
};

const policy = {
  type: 'object',
  required: ['priority', 'rules'],
  ...closed,
  properties: {
    priority: { type: 'integer', minimum: 0, maximum: 9 },
    rules: {
      type: 'array',
      items: {
        type: 'object',
        required: ['apiVersion', 'kind', 'metadata'],
        ...closed,
        properties: {
          apiVersion: { type: 'string', enum: ['projectcalico.org/v3'] },
          kind: { type: 'string', enum: POLICY_KINDS },
          metadata,
          spec: { type: 'object' },
        },
      },
    },
  },
};

/** Objects by name of their group; the groups are applied in the order of their priorities. */
export const policies = Type.Unsafe<Readonly<Record<string, PolicySetting>>>({
  type: 'object',
  default: {},
  description: 'Objects kept in the datastore, in groups: {priority: 0 to 9, rules: [objects]}',
  additionalProperties: policy,
});
