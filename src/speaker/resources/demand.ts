// What the view demands of this node: its sessions, its own routes' communities, the pools. A pure
// function of what is stored now; whatever was asked for and cannot be done is named.
import { desiredPeers } from '../../bgp/peers/desired.ts';
import { asnOf, portOf } from '../../bgp/peers/facts.ts';
import { addressOf, type BgpNode } from '../../bgp/peers/node.ts';
import type { DesiredPeer } from '../../bgp/peers.ts';
import type { OwnIdentity } from '../../bgp/table/policy/import.ts';
import {
  BGP_PORT,
  type BgpSettings,
  DEFAULT_AS_NUMBER,
  DEFAULT_BGP_SETTINGS,
  type ParsedBgpConfiguration,
  type PrefixAdvertisement,
  parseBgpConfiguration,
  UNREADABLE_BGP_SETTINGS,
} from '../../model/bgp-configuration.ts';
import type { SecretKeyRef } from '../../model/bgp-peer.ts';
import type { Asn } from '../../net/asn.ts';
import { type Cidr, hostCidr } from '../../net/cidr.ts';
import { type Family, type Ip, ip } from '../../net/ip.ts';
import { type DemandedPool, poolsOf, workloadsOf } from './own.ts';
import type { SpeakerView } from './view.ts';

export interface Demand {
  /** The own node; undefined until the agent has written it. */
  readonly self: BgpNode | undefined;
  readonly localAsn: Asn;
  readonly listenPort: number;
  /** BGPConfiguration `default`. */
  readonly cluster: BgpSettings;
  readonly peers: readonly DesiredPeer[];
  /** Nodes on which no speaker runs: they are peers that nobody waits for. */
  readonly silent: ReadonlySet<string>;
  /** What of the BGP resources is not done as asked for, and why. */
  readonly problems: readonly string[];
  /** Names of the Secrets that these sessions' passwords are in, whether they are known or not. */
  readonly secrets: ReadonlySet<string>;
  readonly pools: readonly DemandedPool[];
  /** Communities of own routes: the node's own list, else the cluster's. */
  readonly advertisements: readonly PrefixAdvertisement[];
}

export function demandOf(view: SpeakerView): Demand {
  const { settings: cluster, problems } = clusterSettings(view);
  const ofNodes = new Map<string, ParsedBgpConfiguration>();
  for (const [name, stored] of view.configurations) {
    if (name.startsWith(OF_NODE) && stored !== 'unreadable')
      ofNodes.set(name.slice(OF_NODE.length), parseBgpConfiguration(name, stored, cluster.named));
  }
  const nodes = [...view.nodes.values()].map((node) => ({
    ...node,
    listenPort: ofNodes.get(node.name)?.settings.listenPort,
  }));
  const self = nodes.find(({ name }) => name === view.node);
  const ownAdvertisements = ofNodes.get(view.node)?.settings.prefixAdvertisements ?? [];
  const pools = poolsOf(view, cluster.clusterRoutes);
  const secrets = new Set<string>();
  const facts = {
    nodes,
    cluster,
    peers: [...view.peers.values()],
    workloads: workloadsOf(view),
    pools,
    filters: view.filters,
    secret: ({ name, key }: SecretKeyRef) => {
      secrets.add(name);
      return view.secrets.get(name)?.get(key);
    },
  };
  const desired = self ? desiredPeers({ ...facts, self }) : { peers: [], problems: [] };
  return {
    self,
    localAsn: (self && asnOf(self, cluster)) ?? DEFAULT_AS_NUMBER,
    listenPort: self ? portOf(self, cluster) : (cluster.listenPort ?? BGP_PORT),
    cluster,
    peers: desired.peers,
    silent: new Set(nodes.flatMap(({ name, isSilent }) => (isSilent ? [name] : []))),
    problems: [
      ...problems,
      ...[...ofNodes.values()].flatMap((parsed) => parsed.problems),
      ...desired.problems,
    ],
    secrets,
    pools,
    advertisements: ownAdvertisements.length > 0 ? ownAdvertisements : cluster.prefixAdvertisements,
  };
}

const OF_NODE = 'node.';

function clusterSettings(view: SpeakerView): ParsedBgpConfiguration {
  const stored = view.configurations.get('default');
  if (stored === undefined) return { settings: DEFAULT_BGP_SETTINGS, problems: [] };
  if (stored === 'unreadable') return { settings: UNREADABLE_BGP_SETTINGS, problems: [] };
  return parseBgpConfiguration('default', stored);
}

/** Without an IPv4 address and a router id of its own the node still has to be named somehow. */
export function identityOf({ self, localAsn }: Demand, routerId: Ip | undefined): OwnIdentity {
  const addresses = [self?.ipv4?.ip, self?.ipv6?.ip].filter((a) => a !== undefined);
  return { asn: localAsn, routerId: routerId ?? self?.ipv4?.ip ?? ip('0.0.0.1'), addresses };
}

const ANY: Readonly<Record<Family, Ip>> = { 4: ip('0.0.0.0'), 6: ip('::') };

/** Where peers may connect to: nowhere without peers. */
export function listenAddresses({ self, cluster, peers }: Demand): ReadonlySet<Ip> {
  const families = new Set(peers.map(({ family }) => family));
  const own = (family: Family): Ip | undefined => self && addressOf(self, family);
  const ofNode = [...families].flatMap(
    (f) => (cluster.bindMode === 'nodeIp' ? own(f) : ANY[f]) ?? [],
  );
  if (cluster.bindMode !== 'nodeIp') return new Set(ofNode);
  const ofPods = peers.flatMap(({ workload, family }) => (workload ? [family] : []));
  return new Set([...ofNode, ...ofPods.flatMap((f) => cluster.workloadPeering[f] ?? [])]);
}

/** The addresses that pods speak to, by the links that carry them. */
export function peeringAddresses({ cluster, peers }: Demand): ReadonlyMap<string, readonly Ip[]> {
  const byLink = new Map<string, readonly Ip[]>();
  for (const { workload, family } of peers) {
    const address = cluster.workloadPeering[family];
    if (!workload || !address) continue;
    byLink.set(workload.interfaceName, [...(byLink.get(workload.interfaceName) ?? []), address]);
  }
  return byLink;
}

/** Peers' addresses that a gateway of their own leads to (BGPPeer `reachableBy`). */
export const gatewaysOf = (peers: readonly DesiredPeer[]): ReadonlyMap<Cidr, Ip> =>
  new Map(
    peers.flatMap(({ address, reachableBy }) =>
      reachableBy ? [[hostCidr(address), reachableBy] as const] : [],
    ),
  );
