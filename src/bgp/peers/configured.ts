// Peers that BGPPeer resources ask for, seen from one node: those of the nodes that a resource
// names as its own side, and the way back on the nodes that it selects as the remote side.
import { type BgpFilter, rejectingFilter } from '../../model/bgp-filter.ts';
import type { BgpPeer } from '../../model/bgp-peer.ts';
import type { SessionWishes } from '../../model/reading/bgp-annotations.ts';
import { matches } from '../../model/selector/match.ts';
import type { Selector } from '../../model/selector/selector.ts';
import type { Asn } from '../../net/asn.ts';
import { type Family, familyOf, type Ip } from '../../net/ip.ts';
import { type DesiredPeer, PEER_DEFAULTS } from '../peers.ts';
import {
  asnOf,
  dashless,
  isBeyondSubnet,
  type PeeringFacts,
  passwordOf,
  portOf,
  wished,
} from './facts.ts';
import { addressOf, type BgpNode } from './node.ts';
import {
  type BgpWorkload,
  selectedWorkloads,
  WORKLOAD_PREFIXES_MAX,
  workloadGuard,
} from './workloads.ts';

export interface Configured {
  readonly peers: readonly DesiredPeer[];
  readonly problems: readonly string[];
}

/** What one resource means for the own node. */
export function configuredPeers(peer: BgpPeer, facts: PeeringFacts): Configured {
  const { self } = facts;
  const targets: readonly Target[] = [
    ...(isLocal(peer, self) ? forward(peer, facts) : []),
    ...backward(peer, facts),
  ].filter(({ address }) => address !== addressOf(self, familyOf(address)));
  const unreachable = withoutPeeringAddress(peer, facts);
  if (unreachable) return { peers: [], problems: [`BGPPeer ${peer.name}: ${unreachable}`] };
  if (targets.length === 0) return { peers: [], problems: [] };
  const found = passwordOf(peer.password, facts.secret);
  const missing = peer.filters.filter((name) => !facts.filters.has(name));
  const problems = missing.map((name) => `BGPFilter ${name} is not there: it rejects all routes`);
  const made = targets.map((target) =>
    'problem' in found ? found.problem : sessionTo(target, peer, found.password, facts),
  );
  const refused = made.filter((one) => typeof one === 'string');
  const named = [...new Set([...problems, ...refused])];
  return {
    peers: made.filter((one) => typeof one !== 'string'),
    problems: named.map((problem) => `BGPPeer ${peer.name}: ${problem}`),
  };
}

/** Somebody to speak to. */
interface Target {
  readonly kind: 'node' | 'global' | 'workload';
  readonly address: Ip;
  readonly node: BgpNode | undefined;
  /** A pod of the own node. */
  readonly workload?: BgpWorkload;
  /** As the resource says; undefined: the node's or the cluster's. */
  readonly port: number | undefined;
  readonly asn: Asn | undefined;
  readonly localAsn: Asn | undefined;
  /** The other side has this session too, for certain. */
  readonly mutual: boolean;
}

const isSelected = (selector: Selector, { labels }: BgpNode): boolean =>
  matches(selector, (name) => labels[name]);

function isLocal({ local }: BgpPeer, node: BgpNode): boolean {
  if (local.kind === 'all') return true;
  return local.kind === 'node' ? local.node === node.name : isSelected(local.selector, node);
}

const isRemote = ({ remote }: BgpPeer, node: BgpNode): boolean =>
  remote.kind === 'selected' && isSelected(remote.selector, node);

const FAMILIES: readonly Family[] = [4, 6];

function forward(peer: BgpPeer, facts: PeeringFacts): readonly Target[] {
  const { remote, localAsn } = peer;
  if (remote.kind === 'workloads')
    return selectedWorkloads(remote.selector, facts).map(({ workload, address }) => ({
      ...{ kind: 'workload', address, workload, node: undefined, port: undefined },
      ...{ asn: remote.asn, localAsn, mutual: false },
    }));
  const kind = peer.local.kind === 'all' ? 'global' : 'node';
  if (remote.kind === 'address') {
    const { address, port, asn } = remote;
    const node = facts.nodes.find((n) => addressOf(n, familyOf(address)) === address);
    return [{ kind, address, node, port, asn, localAsn, mutual: false }];
  }
  return facts.nodes
    .filter((node) => node.name !== facts.self.name && isRemote(peer, node))
    .flatMap((node) => {
      const mutual = peer.reverse || (isLocal(peer, node) && isRemote(peer, facts.self));
      return addressesOf(node, facts.self).map((address) => ({
        ...{ kind, address, node, port: undefined, asn: undefined, localAsn, mutual },
      }));
    });
}

// The other side speaks as `localASNumber`, if one is given: here that is the peer's AS number.
function backward(peer: BgpPeer, facts: PeeringFacts): readonly Target[] {
  if (!peer.reverse || !isRemote(peer, facts.self)) return [];
  return facts.nodes
    .filter((node) => node.name !== facts.self.name && isLocal(peer, node))
    .flatMap((node) =>
      addressesOf(node, facts.self).map((address) => ({
        kind: 'node' as const,
        address,
        node,
        port: undefined,
        asn: peer.localAsn,
        localAsn: undefined,
        mutual: true,
      })),
    );
}

const addressesOf = (node: BgpNode, self: BgpNode): readonly Ip[] =>
  FAMILIES.flatMap((family) => (addressOf(self, family) && addressOf(node, family)) ?? []);

// Asked for, and nobody would know what address to speak to.
function withoutPeeringAddress(peer: BgpPeer, { self, cluster }: PeeringFacts) {
  const none = Object.keys(cluster.workloadPeering).length === 0;
  if (peer.remote.kind !== 'workloads' || !isLocal(peer, self) || !none) return undefined;
  return 'BGPConfiguration default has neither localWorkloadPeeringIPV4 nor localWorkloadPeeringIPV6';
}

/** The session, or why it must not be made. */
function sessionTo(
  target: Target,
  peer: BgpPeer,
  password: string | undefined,
  facts: PeeringFacts,
): DesiredPeer | string {
  const { self, cluster } = facts;
  const { address, node, workload } = target;
  const family = familyOf(address);
  const localAddress = workload ? cluster.workloadPeering[family] : addressOf(self, family);
  if (peer.sourceAddress === 'useNodeIp' && !localAddress)
    return `the node has no IPv${family} address to speak to ${address} from`;
  const asn = target.asn ?? (node && asnOf(node, cluster));
  const localAsn = target.localAsn ?? asnOf(self, cluster);
  if (asn === undefined) return `the AS number of ${address} is not known`;
  if (localAsn === undefined) return 'the own AS number is not known';
  const port = target.port ?? (node ? portOf(node, cluster) : undefined);
  const suffix = target.port === undefined ? '' : `_port_${target.port}`;
  const beyond = !workload && isBeyondSubnet(self, address);
  const multihop = (peer.ttlSecurityHops ?? 1) > 1 || beyond;
  return {
    ...PEER_DEFAULTS,
    ...wished({ ...cluster.wishes, ...peer.wishes }, { multihop, kin: node && asn === localAsn }),
    ...reflection(self, node, asn === localAsn),
    ...(workload ? asWorkload(workload, { ...cluster.wishes, ...peer.wishes }) : {}),
    kind: target.kind,
    name: `${PREFIXES[target.kind]}_${dashless(address)}${suffix}`,
    node: node?.name,
    address,
    port: port ?? DEFAULT_PORT,
    asn,
    localAsn,
    localAddress: peer.sourceAddress === 'none' ? undefined : localAddress,
    family,
    families: peer.wishes.families ?? [family],
    passive: target.mutual && localAddress !== undefined && localAddress < address,
    keepaliveSeconds: peer.keepaliveSeconds,
    password,
    ttlSecurityHops: peer.ttlSecurityHops,
    gracefulRestartSeconds: peer.maxRestartSeconds ?? PEER_DEFAULTS.gracefulRestartSeconds,
    allowLocalAsns: peer.allowLocalAsns,
    nextHopMode: peer.nextHopMode,
    filters: filtersOf(peer, facts),
    reachableBy: peer.reachableBy,
  };
}

const DEFAULT_PORT = 179;

const PREFIXES: Readonly<Record<Target['kind'], string>> = {
  node: 'Node',
  global: 'Global',
  workload: 'Local_Workload',
};

const asWorkload = ({ name, interfaceName, addresses }: BgpWorkload, wishes: SessionWishes) => ({
  workload: { name, interfaceName, addresses },
  maxPrefixes: wishes.maxPrefixes ?? WORKLOAD_PREFIXES_MAX,
});

function filtersOf({ filters: names, remote, wishes }: BgpPeer, facts: PeeringFacts) {
  const named = names.map((name) => facts.filters.get(name) ?? rejectingFilter(name));
  if (remote.kind !== 'workloads') return named;
  const explicit = wishes.explicitPolicy ?? facts.cluster.wishes.explicitPolicy;
  // The guard is no policy in the sense of RFC 8212.
  if (explicit && named.length === 0) return named;
  return [...named, guardOf(facts)];
}

const guards = new WeakMap<PeeringFacts, BgpFilter>();

function guardOf(facts: PeeringFacts): BgpFilter {
  const guard = guards.get(facts) ?? workloadGuard(facts);
  guards.set(facts, guard);
  return guard;
}

// RFC 4456: a reflector's internal peers are its clients, but for the reflectors of its own cluster.
function reflection(self: BgpNode, node: BgpNode | undefined, internal: boolean) {
  const { clusterId } = self;
  const reflectorClient =
    internal && clusterId !== undefined && (!node?.isReflector || node.clusterId !== clusterId);
  return { clusterId, reflectorClient };
}
