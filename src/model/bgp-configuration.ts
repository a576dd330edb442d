// BGPConfiguration: `default` for the cluster, `node.<name>` for what one node has of its own
// (listenPort, prefixAdvertisements, logSeverityScreen). The stored spec is parsed once. A field that
// cannot be read is named; where going on without it would mean other sessions than were asked for
// (the AS number, the mesh, its password), the sessions that need it are not made.
import type { Json } from '../base/json.ts';
import type { Asn } from '../net/asn.ts';
import { type Cidr, containsCidr } from '../net/cidr.ts';
import { type Community, parseCommunity } from '../net/community.ts';
import { type Family, familyOf, type Ip, parseIp } from '../net/ip.ts';
import { boundedSeconds, parsePassword, type SecretKeyRef } from './bgp-peer.ts';
import { CLUSTER_ROUTES, type ClusterRoutes, clusterRoutes } from './cluster-routes.ts';
import { additionalCidrs, type SessionWishes, sessionWishes } from './reading/bgp-annotations.ts';
import {
  asn,
  type Fields,
  fieldsOf,
  flag,
  listOf,
  nameOf,
  objects,
  parsed,
  prefix,
  text,
  whole,
  withoutAbsent,
  word,
} from './reading/fields.ts';
import type { Resource } from './resource.ts';

/** As it is stored, for those who write it; unknown fields stay. */
export interface BgpConfigurationSpec {
  readonly logSeverityScreen?: string;
  /** Absent means true. */
  readonly nodeToNodeMeshEnabled?: boolean;
  /** Absent means 64512. */
  readonly asNumber?: number;
  /** Absent means 179. */
  readonly listenPort?: number;
}

export type BgpConfiguration = Resource<'BGPConfiguration', BgpConfigurationSpec>;
export const DEFAULT_AS_NUMBER = 64512 as Asn;
export const BGP_PORT = 179;

/** What a BGPConfiguration says, parsed. */
export interface BgpSettings {
  readonly meshEnabled: boolean;
  /** Undefined: 64512. */
  readonly asn: Asn | undefined;
  /** Undefined: 179, or the cluster's. */
  readonly listenPort: number | undefined;
  /** Whether sockets listen on all addresses or on the node's own only. */
  readonly bindMode: 'none' | 'nodeIp';
  readonly nodeMeshPassword: SecretKeyRef | undefined;
  readonly nodeMeshMaxRestartSeconds: number | undefined;
  readonly serviceClusterIps: readonly Cidr[];
  readonly serviceExternalIps: readonly Cidr[];
  readonly serviceLoadBalancerIps: readonly Cidr[];
  /** Whether load balancer prefixes are announced whole. */
  readonly serviceLoadBalancerAggregation: boolean;
  readonly prefixAdvertisements: readonly PrefixAdvertisement[];
  /** Communities by name. */
  readonly named: Readonly<Record<string, Community>>;
  /** Interfaces over which no next hop is looked for; `*` stands for any run of characters. */
  readonly ignoredInterfaces: readonly string[];
  /** The metric of routes that nobody gave another one, by family; undefined: 1024. */
  readonly normalPriorities: Readonly<Partial<Record<Family, number>>>;
  /** Pools whose routes the speaker writes; undefined: those that the agent does not. */
  readonly clusterRoutes: ClusterRoutes | undefined;
  /** The node's addresses that pods peer with, by family. */
  readonly workloadPeering: Readonly<Partial<Record<Family, Ip>>>;
  /** What of these a node has a route or an address of is told to its peers. */
  readonly additionalCidrs: readonly Cidr[];
  /** For sessions that say nothing themselves. */
  readonly wishes: SessionWishes;
  /** Fields that cannot be read and without which sessions would be other than asked for. */
  readonly unreadable: readonly ('asNumber' | 'mesh')[];
}

/** Own routes within the prefix carry these communities; names are resolved. */
export interface PrefixAdvertisement {
  readonly cidr: Cidr;
  readonly communities: readonly Community[];
}

export interface ParsedBgpConfiguration {
  readonly settings: BgpSettings;
  readonly problems: readonly string[];
}

const MESH_FIELDS = ['nodeToNodeMeshEnabled', 'nodeMeshPassword'];

/** Reads a stored BGPConfiguration; `named` are the cluster's communities, which a node's may use. */
export function parseBgpConfiguration(
  name: string,
  resource: { readonly metadata: object; readonly spec: Json },
  named: Readonly<Record<string, Community>> = {},
): ParsedBgpConfiguration {
  const problems: string[] = [];
  const spec = fieldsOf(resource.spec, problems);
  const cidrs = (field: string): readonly Cidr[] =>
    objects(spec, field, (item) => prefix(item, 'cidr')) ?? [];
  const communities = { ...named, ...namedCommunities(spec) };
  const settings: Omit<BgpSettings, 'unreadable'> = {
    meshEnabled: flag(spec, 'nodeToNodeMeshEnabled') ?? true,
    asn: asn(spec, 'asNumber'),
    listenPort: whole(spec, 'listenPort', 1, 65_535),
    bindMode: word(spec, 'bindMode', ['None', 'NodeIP']) === 'NodeIP' ? 'nodeIp' : 'none',
    nodeMeshPassword: parsePassword(spec, 'nodeMeshPassword'),
    nodeMeshMaxRestartSeconds: boundedSeconds(spec, 'nodeMeshMaxRestartTime', 0, 4095),
    serviceClusterIps: cidrs('serviceClusterIPs'),
    serviceExternalIps: cidrs('serviceExternalIPs'),
    serviceLoadBalancerIps: cidrs('serviceLoadBalancerIPs'),
    serviceLoadBalancerAggregation:
      word(spec, 'serviceLoadBalancerAggregation', ['Enabled', 'Disabled']) !== 'Disabled',
    prefixAdvertisements:
      objects(spec, 'prefixAdvertisements', (item) => parseAdvertisement(item, communities)) ?? [],
    named: communities,
    ignoredInterfaces: listOf(spec, 'ignoredInterfaces', 'name', textOf) ?? [],
    normalPriorities: withoutAbsent({
      4: whole(spec, 'ipv4NormalRoutePriority', 1, 2_147_483_646),
      6: whole(spec, 'ipv6NormalRoutePriority', 1, 2_147_483_646),
    }),
    clusterRoutes: clusterRoutes(word(spec, 'programClusterRoutes', CLUSTER_ROUTES)),
    workloadPeering: withoutAbsent({
      4: addressOfFamily(spec, 'localWorkloadPeeringIPV4', 4),
      6: addressOfFamily(spec, 'localWorkloadPeeringIPV6', 6),
    }),
    additionalCidrs: additionalCidrs(fieldsOf(resource.metadata as Json, problems)),
    wishes: sessionWishes(fieldsOf(resource.metadata as Json, problems)),
  };
  const hit = (fields: readonly string[]): boolean =>
    problems.some((problem) => fields.some((field) => problem.startsWith(field)));
  const unreadable = [
    ...(hit(['asNumber', 'spec']) ? (['asNumber'] as const) : []),
    ...(hit([...MESH_FIELDS, 'spec']) ? (['mesh'] as const) : []),
  ];
  return {
    settings: { ...settings, unreadable },
    problems: problems.map((problem) => `BGPConfiguration ${name}: ${problem}`),
  };
}

/** The communities that an own route to this prefix carries: those of all that hold it. */
export const communitiesOf = (
  route: Cidr,
  advertisements: readonly PrefixAdvertisement[],
): readonly Community[] =>
  advertisements.flatMap(({ cidr, communities }) => (containsCidr(cidr, route) ? communities : []));

const textOf = (value: Json): string | undefined => (typeof value === 'string' ? value : undefined);

const addressOfFamily = (spec: Fields, field: string, family: Family): Ip | undefined =>
  parsed(spec, field, `IPv${family} address`, (value) => {
    const address = typeof value === 'string' ? parseIp(value) : undefined;
    return address && familyOf(address) === family ? address : undefined;
  });

function namedCommunities(spec: Fields): Readonly<Record<string, Community>> {
  const entries = objects(spec, 'communities', (item) => {
    const [name, value] = [text(item, 'name'), text(item, 'value')];
    const community = value === undefined ? undefined : parseCommunity(value);
    if (name && community) return [name, community] as const;
    spec.problems.push(`${item.path} needs a name and a value such as 64512:100 or 64512:1:2`);
    return undefined;
  });
  return Object.fromEntries(entries ?? []);
}

// An advertisement of which a community is unknown is left out: half of what was asked for could
// mean its opposite. The prefix itself is announced all the same.
function parseAdvertisement(
  item: Fields,
  named: Readonly<Record<string, Community>>,
): PrefixAdvertisement | undefined {
  const cidr = prefix(item, 'cidr');
  const names = listOf(item, 'communities', 'name', textOf) ?? [];
  const communities = names.flatMap((name) => named[name] ?? parseCommunity(name) ?? []);
  if (cidr && communities.length === names.length) return { cidr, communities };
  item.problems.push(`${nameOf(item, 'communities')}: a community is neither known nor a value`);
  return undefined;
}

/** What holds when nothing is configured. */
export const DEFAULT_BGP_SETTINGS: BgpSettings = parseBgpConfiguration('default', {
  metadata: {},
  spec: {},
}).settings;

/** A `default` that is no resource at all: nobody knows which sessions were asked for. */
export const UNREADABLE_BGP_SETTINGS: BgpSettings = {
  ...DEFAULT_BGP_SETTINGS,
  unreadable: ['asNumber', 'mesh'],
};
