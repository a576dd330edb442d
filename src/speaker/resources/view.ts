// What the speaker remembers of the datastore: nodes, BGP's resources, pools, and of its own node
// the blocks and the endpoints' addresses. Each kind has its own watch; other nodes' endpoints, which
// no prefix keeps out, are dropped by their key. Pure state; an object that cannot be read is as good
// as absent, and is named.

import type { Json } from '../../base/json.ts';
import { type BgpNode, bgpNode } from '../../bgp/peers/node.ts';
import type { PeerWorkload } from '../../bgp/peers.ts';
import type { Change, KeyValue } from '../../datastore/store.ts';
import { type BgpFilter, parseBgpFilter } from '../../model/bgp-filter.ts';
import { type BgpPeer, parseBgpPeer } from '../../model/bgp-peer.ts';
import { clusterRoutesIn } from '../../model/cluster-routes.ts';
import { checkIpPoolSpec, type IpPoolSpec } from '../../model/ip-pool.ts';
import { isConfirmed, parseAffinity } from '../../model/ipam.ts';
import { affinityPrefix, type Key, parseKey, resourcePrefix } from '../../model/keys.ts';
import { isSilent, type NodeSpec } from '../../model/node.ts';
import type { ProfileSpec } from '../../model/policy.ts';
import { parseResource } from '../../model/resource.ts';
import { type LabelMap, stringLabels } from '../../model/selector/labels.ts';
import {
  parseWorkloadEndpointName,
  type WorkloadEndpointSpec,
} from '../../model/workload-endpoint.ts';
import { type Cidr, hostCidr, networkOf, parseCidr } from '../../net/cidr.ts';
import { parseIp } from '../../net/ip.ts';

/** The parts of the datastore that are watched, each by its prefix. */
export const PARTS = [
  'nodes',
  'bgpconfigurations',
  'bgppeers',
  'bgpfilters',
  'ippools',
  'affinities',
  'workloadendpoints',
  'profiles',
  'felixconfigurations',
] as const;
export type Part = (typeof PARTS)[number];

export const prefixOf = (part: Part, node: string): string =>
  part === 'affinities' ? affinityPrefix(node) : resourcePrefix(part);

export interface SpeakerView {
  /** The name of the own node. */
  readonly node: string;
  readonly nodes: Map<string, BgpNode>;
  /** BGPConfigurations as stored: what a node's means depends on the cluster's. */
  readonly configurations: Map<string, StoredConfiguration>;
  readonly peers: Map<string, BgpPeer>;
  readonly filters: Map<string, BgpFilter>;
  /** The texts in Secrets of the speaker's namespace, by name and key. */
  readonly secrets: Map<string, ReadonlyMap<string, string>>;
  readonly pools: Map<string, IpPoolSpec>;
  readonly ownBlocks: Set<Cidr>;
  /** The own node's tunnel addresses. */
  ownTunnels: readonly Cidr[];
  /** The own node's endpoints, by key. */
  readonly endpoints: Map<string, OwnEndpoint>;
  /** `programClusterRoutes` of FelixConfigurations, by name, and what the environment says over them. */
  readonly felix: Map<string, unknown>;
  readonly environment: string | undefined;
  /** The labels that profiles hand down, by name. */
  readonly profiles: Map<string, LabelMap>;
  /** Parts whose first listing has arrived. */
  readonly listed: Set<Part>;
}

/** A pod or container of the own node. */
export interface OwnEndpoint {
  readonly addresses: readonly Cidr[];
  readonly workload: PeerWorkload;
  readonly labels: LabelMap;
  /** Names. */
  readonly profiles: readonly string[];
}

/** `unreadable`: there is an object, but nobody can tell what it says. */
export type StoredConfiguration = { readonly metadata: object; readonly spec: Json } | 'unreadable';

export const newView = (node: string, environment?: string): SpeakerView => ({
  node,
  nodes: new Map(),
  configurations: new Map(),
  peers: new Map(),
  filters: new Map(),
  secrets: new Map(),
  pools: new Map(),
  ownBlocks: new Set(),
  ownTunnels: [],
  endpoints: new Map(),
  profiles: new Map(),
  felix: new Map(),
  environment,
  listed: new Set(),
});

export const isInSync = (view: SpeakerView): boolean => view.listed.size === PARTS.length;

/** Takes in the whole of a part; answers what in it could not be read. */
export function takeListing(
  view: SpeakerView,
  part: Part,
  items: readonly KeyValue[],
): readonly string[] {
  const holder = {
    nodes: view.nodes,
    bgpconfigurations: view.configurations,
    bgppeers: view.peers,
    bgpfilters: view.filters,
    ippools: view.pools,
    affinities: view.ownBlocks,
    workloadendpoints: view.endpoints,
    profiles: view.profiles,
    felixconfigurations: view.felix,
  };
  holder[part].clear();
  if (part === 'nodes') view.ownTunnels = [];
  view.listed.add(part);
  return items.flatMap((item) => put(view, item));
}

/** Takes in changes; answers what in them could not be read. */
export function takeChanges(view: SpeakerView, changes: readonly Change[]): readonly string[] {
  return changes.flatMap((change) => {
    if (change.kind === 'put') return put(view, change.item);
    remove(view, change.key);
    return [];
  });
}

/** Whether the change can matter to this node; of endpoints only its own do. */
export const concerns = (view: SpeakerView, change: Change): boolean => {
  const key = parseKey(pathOf(change));
  return key?.kind !== 'namespaced' || isOwnEndpoint(view, key);
};

const pathOf = (change: Change): string => (change.kind === 'put' ? change.item.key : change.key);

/** The addresses that the changed endpoints hold as the view has them. */
export const addressesOf = (view: SpeakerView, changes: readonly Change[]): readonly Cidr[] =>
  changes.flatMap((change) => view.endpoints.get(pathOf(change))?.addresses ?? []);

const isOwnEndpoint = (view: SpeakerView, key: Key): boolean =>
  key.kind === 'namespaced' &&
  key.plural === 'workloadendpoints' &&
  parseWorkloadEndpointName(key.name)?.node === view.node;

function remove(view: SpeakerView, path: string): void {
  const key = parseKey(path);
  view.endpoints.delete(path);
  if (key?.kind === 'affinity') view.ownBlocks.delete(key.cidr);
  if (key?.kind !== 'resource') return;
  if (key.plural === 'nodes') view.nodes.delete(key.name);
  if (key.plural === 'nodes' && key.name === view.node) view.ownTunnels = [];
  if (key.plural === 'bgpconfigurations') view.configurations.delete(key.name);
  if (key.plural === 'bgppeers') view.peers.delete(key.name);
  if (key.plural === 'bgpfilters') view.filters.delete(key.name);
  if (key.plural === 'ippools') view.pools.delete(key.name);
  if (key.plural === 'felixconfigurations') view.felix.delete(key.name);
  if (key.plural === 'profiles') view.profiles.delete(key.name);
}

function put(view: SpeakerView, item: KeyValue): readonly string[] {
  // What was there before is void, also when the new value turns out unreadable.
  remove(view, item.key);
  const key = parseKey(item.key);
  if (key?.kind === 'affinity') {
    const affinity = parseAffinity(item.value);
    if (!affinity.ok) return [`${item.key}: ${affinity.error}`];
    if (key.owner === 'host' && key.node === view.node && isConfirmed(affinity.value))
      view.ownBlocks.add(key.cidr);
    return [];
  }
  if (key?.kind === 'namespaced' && isOwnEndpoint(view, key)) return putEndpoint(view, key, item);
  if (key?.kind !== 'resource') return [];
  switch (key.plural) {
    case 'nodes':
      return putNode(view, key.name, item.value);
    case 'bgpconfigurations': {
      const parsed = parseResource<'BGPConfiguration', Json>('BGPConfiguration', item.value);
      view.configurations.set(key.name, parsed.ok ? parsed.value : 'unreadable');
      return parsed.ok ? [] : [parsed.error];
    }
    case 'bgppeers': {
      const parsed = parseResource<'BGPPeer', Json>('BGPPeer', item.value);
      const peer = parsed.ok ? parseBgpPeer(key.name, parsed.value) : parsed;
      if (!peer.ok) return [peer.error];
      view.peers.set(key.name, peer.value);
      return [];
    }
    case 'bgpfilters': {
      const parsed = parseResource<'BGPFilter', Json>('BGPFilter', item.value);
      const filter = parsed.ok ? parseBgpFilter(key.name, parsed.value.spec) : parsed;
      if (!filter.ok) return [filter.error];
      view.filters.set(key.name, filter.value);
      return [];
    }
    case 'ippools': {
      const parsed = parseResource<'IPPool', IpPoolSpec>('IPPool', item.value, checkIpPoolSpec);
      if (!parsed.ok) return [parsed.error];
      view.pools.set(key.name, parsed.value.spec);
      return [];
    }
    case 'profiles': {
      const parsed = parseResource<'Profile', ProfileSpec>('Profile', item.value);
      if (!parsed.ok) return [parsed.error];
      view.profiles.set(key.name, stringLabels(parsed.value.spec.labelsToApply));
      return [];
    }
    case 'felixconfigurations':
      view.felix.set(key.name, clusterRoutesIn('FelixConfiguration', item.value));
      return [];
    default:
      return [];
  }
}

function putNode(view: SpeakerView, name: string, text: string): readonly string[] {
  const parsed = parseResource<'Node', NodeSpec>('Node', text);
  if (!parsed.ok) return [parsed.error];
  const { spec, metadata } = parsed.value;
  const { node, problems } = bgpNode(name, spec.bgp, metadata.labels);
  view.nodes.set(name, isSilent(parsed.value) ? { ...node, isSilent: true } : node);
  const { bgp, ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr } = spec;
  if (name === view.node)
    view.ownTunnels = [bgp?.ipv4IPIPTunnelAddr, ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr].flatMap(
      (text) => hostOf(text) ?? [],
    );
  return problems;
}

const hostOf = (text: string | undefined): Cidr | undefined => {
  const ip = text === undefined ? undefined : parseIp(text);
  return ip && hostCidr(ip);
};

function putEndpoint(
  view: SpeakerView,
  { namespace, name }: Extract<Key, { kind: 'namespaced' }>,
  { key, value }: KeyValue,
): readonly string[] {
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>('WorkloadEndpoint', value);
  if (!parsed.ok) return [parsed.error];
  const { spec, metadata } = parsed.value;
  const texts = spec.ipNetworks ?? [];
  const addresses = texts.flatMap((text) => parseCidr(text) ?? []);
  view.endpoints.set(key, {
    addresses,
    workload: {
      name: `${namespace}/${spec.pod ?? parseWorkloadEndpointName(name)?.workload ?? name}`,
      interfaceName: spec.interfaceName ?? '',
      addresses: addresses.map(networkOf),
    },
    labels: stringLabels(metadata.labels),
    profiles: spec.profiles ?? [],
  });
  return addresses.length === texts.length ? [] : [`${key}: an address cannot be read`];
}
