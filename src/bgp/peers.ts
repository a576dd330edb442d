// Whom a node speaks to: the node-to-node mesh. Every node that is not a route reflector peers with
// every other one, per family over its own address. Of two nodes the one whose address is the lower
// string only listens, as with Calico's BIRD, so that the two sides never connect to each other.
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

/** One session that should be. */
export interface DesiredPeer {
  /** `Mesh_10_0_0_1`. */
  readonly name: string;
  readonly node: string;
  readonly address: Ip;
  readonly port: number;
  readonly asn: Asn;
  readonly localAddress: Ip;
  readonly localAsn: Asn;
  readonly family: Family;
  readonly passive: boolean;
}

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
          name: `Mesh_${theirs.replaceAll(/[.:]/g, '_')}`,
          node: other.name,
          address: theirs,
          port: other.listenPort ?? settings.listenPort,
          asn: other.asn ?? settings.asn,
          localAddress: ours,
          localAsn: self.asn ?? settings.asn,
          family,
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
    if (!rival || peer.node < rival.node) byAddress.set(peer.address, peer);
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
