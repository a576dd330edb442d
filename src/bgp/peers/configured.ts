// Peers that BGPPeer resources ask for, seen from one node: those of the nodes that a resource
// names as its own side, and the way back on the nodes that it selects as the remote side.
import { rejectingFilter } from '../../model/bgp-filter.ts';
import type { BgpPeer } from '../../model/bgp-peer.ts';
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
  readonly kind: 'node' | 'global';
  readonly address: Ip;
  readonly node: BgpNode | undefined;
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

/** The session, or why it must not be made. */
function sessionTo(
  target: Target,
  peer: BgpPeer,
  password: string | undefined,
  facts: PeeringFacts,
): DesiredPeer | string {
  const { self, cluster } = facts;
  const { address, node } = target;
  const family = familyOf(address);
  const localAddress = addressOf(self, family);
  if (peer.sourceAddress === 'useNodeIp' && !localAddress)
    return `the node has no IPv${family} address to speak to ${address} from`;
  const asn = target.asn ?? (node && asnOf(node, cluster));
  const localAsn = target.localAsn ?? asnOf(self, cluster);
  if (asn === undefined) return `the AS number of ${address} is not known`;
  if (localAsn === undefined) return 'the own AS number is not known';
  const port = target.port ?? (node ? portOf(node, cluster) : undefined);
  const suffix = target.port === undefined ? '' : `_port_${target.port}`;
  const multihop = (peer.ttlSecurityHops ?? 1) > 1 || isBeyondSubnet(self, address);
  return {
    ...PEER_DEFAULTS,
    ...wished({ ...cluster.wishes, ...peer.wishes }, { multihop, kin: node && asn === localAsn }),
    ...reflection(self, node, asn === localAsn),
    kind: target.kind,
    name: `${target.kind === 'node' ? 'Node' : 'Global'}_${dashless(address)}${suffix}`,
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
    filters: peer.filters.map((name) => facts.filters.get(name) ?? rejectingFilter(name)),
    reachableBy: peer.reachableBy,
  };
}

const DEFAULT_PORT = 179;

// RFC 4456: a reflector's internal peers are its clients, but for the reflectors of its own cluster.
function reflection(self: BgpNode, node: BgpNode | undefined, internal: boolean) {
  const { clusterId } = self;
  const reflectorClient =
    internal && clusterId !== undefined && (!node?.isReflector || node.clusterId !== clusterId);
  return { clusterId, reflectorClient };
}
