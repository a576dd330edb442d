// Whom a node speaks to: the node-to-node mesh. Every node that is not a route reflector peers with
// every other one, per family over its own address. Of two nodes the one whose address is the lower
// string only listens, as with Calico's BIRD, so that the two sides never connect to each other.
import type { BgpFilter } from '../model/bgp-filter.ts';
import { type Asn, parseAsn } from '../net/asn.ts';
import { type InterfaceAddress, parseInterfaceAddress } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';

/** A node of the cluster, as its Node resource says it. */
export interface MeshNode {
  readonly name: string;
  readonly ipv4?: InterfaceAddress | undefined;
  readonly ipv6?: InterfaceAddress | undefined;
  /** Its own AS number; undefined: the cluster's. */
  readonly asn?: Asn | undefined;
  readonly reflectorClusterId?: string | undefined;
  /** Its own port; undefined: the cluster's. */
  readonly listenPort?: number | undefined;
}

export interface MeshSettings {
  readonly meshEnabled: boolean;
  readonly asn: Asn;
  readonly listenPort: number;
}

/** One session that should be, with all that was decided about it. */
export interface DesiredPeer {
  /** `Mesh_10_0_0_1`, `Node_...` or `Global_...`. */
  readonly name: string;
  readonly kind: 'mesh' | 'node' | 'global';
  /** The peer's Node; undefined: no node of the cluster. */
  readonly node?: string | undefined;
  readonly address: Ip;
  readonly port: number;
  readonly asn: Asn;
  readonly localAsn: Asn;
  /** Undefined: whatever the kernel chooses. */
  readonly localAddress?: Ip | undefined;
  /** Of the transport. */
  readonly family: Family;
  /** Whose routes the OPEN offers. */
  readonly families: readonly Family[];
  /** Never connects, only listens. */
  readonly passive: boolean;
  /** What our OPEN offers; undefined: the speaker's default. */
  readonly holdTimeSeconds?: number | undefined;
  /** Undefined: a third of the negotiated hold time. */
  readonly keepaliveSeconds?: number | undefined;
  /** TCP-MD5 key (RFC 2385). */
  readonly password?: string | undefined;
  /** GTSM (RFC 5082): so many hops at most lie between us; packets below TTL 256 - n are dropped. */
  readonly ttlSecurityHops?: number | undefined;
  /** How long the peer keeps our routes while we restart (RFC 4724); 0: off. */
  readonly gracefulRestartSeconds?: number | undefined;
  /** How often our own AS may stand in an AS_PATH that is believed. */
  readonly allowLocalAsns: number;
  readonly nextHopMode: 'auto' | 'self' | 'keep';
  /** We reflect routes to it as to a client (RFC 4456). */
  readonly reflectorClient: boolean;
  /** Our CLUSTER_ID on this session; undefined: we reflect nothing. */
  readonly clusterId?: Ip | undefined;
  /** In order; the first rule that matches decides. */
  readonly filters: readonly BgpFilter[];
  /** The gateway that the peer's address is reached by. */
  readonly reachableBy?: Ip | undefined;
  readonly bfd?: DesiredBfd | undefined;
  /** Offers to send and receive several paths to a prefix (RFC 7911). */
  readonly addPath: boolean;
  /** More prefixes than this end the session (RFC 4486). */
  readonly maxPrefixes?: number | undefined;
  /** An external peer without filters tells and is told nothing (RFC 8212). */
  readonly explicitPolicy: boolean;
}

/** BFD's timers in milliseconds (RFC 5880). */
export interface DesiredBfd {
  readonly transmitMs: number;
  readonly receiveMs: number;
  readonly multiplier: number;
  readonly multihop: boolean;
}

/** What a session without special wishes has. */
export const PEER_DEFAULTS = {
  allowLocalAsns: 0,
  nextHopMode: 'auto',
  reflectorClient: false,
  filters: [],
  addPath: true,
  explicitPolicy: false,
} as const satisfies Partial<DesiredPeer>;

/** In order of family and address. A node without an address of a family has no session of it. */
export function desiredPeers(
  self: MeshNode,
  others: Iterable<MeshNode>,
  settings: MeshSettings,
): readonly DesiredPeer[] {
  if (!settings.meshEnabled || self.reflectorClusterId) return [];
  const peers: DesiredPeer[] = [];
  for (const other of others) {
    if (other.name === self.name || other.reflectorClusterId) continue;
    for (const family of [4, 6] as const) {
      const [ours, theirs] = [addressOf(self, family), addressOf(other, family)];
      if (ours && theirs && ours !== theirs)
        peers.push({
          ...PEER_DEFAULTS,
          kind: 'mesh',
          name: `Mesh_${theirs.replaceAll(/[.:]/g, '_')}`,
          node: other.name,
          address: theirs,
          port: other.listenPort ?? settings.listenPort,
          asn: other.asn ?? settings.asn,
          localAddress: ours,
          localAsn: self.asn ?? settings.asn,
          family,
          families: [family],
          passive: ours < theirs,
        });
    }
  }
  return withoutDoubles(peers.sort((a, b) => (a.name < b.name ? -1 : 1)));
}

const addressOf = (node: MeshNode, family: Family): Ip | undefined =>
  (family === 4 ? node.ipv4 : node.ipv6)?.ip;

// Two nodes that claim one address would share a session: the first by name has it.
function withoutDoubles(peers: readonly DesiredPeer[]): readonly DesiredPeer[] {
  const byAddress = new Map<Ip, DesiredPeer>();
  for (const peer of peers) {
    const rival = byAddress.get(peer.address);
    if (!rival || (peer.node ?? '') < (rival.node ?? '')) byAddress.set(peer.address, peer);
  }
  return [...byAddress.values()];
}

/** The BGP part of a Node's spec. */
export interface NodeBgp {
  readonly ipv4Address?: string | undefined;
  readonly ipv6Address?: string | undefined;
  readonly asNumber?: number | string | undefined;
  readonly routeReflectorClusterID?: string | undefined;
}

/** A Node as a member of the mesh, and what in it cannot be used. */
export function meshNode(
  name: string,
  bgp: NodeBgp | undefined,
): { readonly node: MeshNode; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const address = (text: string | undefined): InterfaceAddress | undefined => {
    if (!text) return undefined;
    const parsed = parseInterfaceAddress(text) ?? parseInterfaceAddress(`${text}/32`);
    if (!parsed) problems.push(`Node ${name}: '${text}' is no address`);
    return parsed;
  };
  const [ipv4, ipv6] = [address(bgp?.ipv4Address), address(bgp?.ipv6Address)];
  const asn = bgp?.asNumber === undefined ? undefined : parseAsn(bgp.asNumber);
  const reflectorClusterId = bgp?.routeReflectorClusterID || undefined;
  if (bgp?.asNumber !== undefined && !asn) {
    // Without an address it has no session: a guessed AS number would be worse.
    problems.push(`Node ${name}: asNumber '${bgp.asNumber}' is no AS number`);
    return { node: { name, reflectorClusterId }, problems };
  }
  const node: MeshNode = { name, ipv4, ipv6, asn, reflectorClusterId };
  return { node, problems };
}
