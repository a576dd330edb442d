// A node of the cluster as the speaker knows it: where it can be reached, its AS, its labels, and
// whether it is a route reflector.
import { type NodeSpec, parseNodeAddress } from '../../model/node.ts';
import { type Asn, parseAsn } from '../../net/asn.ts';
import type { InterfaceAddress } from '../../net/cidr.ts';
import { type Family, familyOf, type Ip, parseIp } from '../../net/ip.ts';

export interface BgpNode {
  readonly name: string;
  readonly ipv4?: InterfaceAddress | undefined;
  readonly ipv6?: InterfaceAddress | undefined;
  /** Its own AS number; undefined: the cluster's. */
  readonly asn?: Asn | undefined;
  /** A route reflector: it and the mesh have nothing to do with each other. */
  readonly isReflector: boolean;
  /** Its CLUSTER_ID; a reflector whose own cannot be read reflects nothing. */
  readonly clusterId?: Ip | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Its agent says that no speaker runs there. */
  readonly isSilent?: boolean;
  /** Its own port; undefined: the cluster's. */
  readonly listenPort?: number | undefined;
}

export const addressOf = (node: BgpNode, family: Family): Ip | undefined =>
  (family === 4 ? node.ipv4 : node.ipv6)?.ip;

/** A Node as a BGP speaker, and what in it cannot be used. */
export function bgpNode(
  name: string,
  bgp: NodeSpec['bgp'],
  labels: Readonly<Record<string, string>> = {},
): { readonly node: BgpNode; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const address = (text: string | undefined, family: Family): InterfaceAddress | undefined => {
    if (!text) return undefined;
    const parsed = parseNodeAddress(text, family);
    if (parsed) return parsed;
    problems.push(`Node ${name}: '${text}' is no IPv${family} address`);
    return undefined;
  };
  const [ipv4, ipv6] = [address(bgp?.ipv4Address, 4), address(bgp?.ipv6Address, 6)];
  const asn = bgp?.asNumber === undefined ? undefined : parseAsn(bgp.asNumber);
  const clusterText = bgp?.routeReflectorClusterID;
  const clusterId = clusterText ? parseIp(clusterText) : undefined;
  if (clusterText && (!clusterId || familyOf(clusterId) !== 4))
    problems.push(`Node ${name}: routeReflectorClusterID '${clusterText}' has no IPv4 form`);
  const reflector = { isReflector: Boolean(clusterText), clusterId };
  if (bgp?.asNumber !== undefined && !asn) {
    // Without an address it has no session: a guessed AS number would be worse.
    problems.push(`Node ${name}: asNumber '${bgp.asNumber}' is no AS number`);
    return { node: { name, labels, ...reflector }, problems };
  }
  return { node: { name, ipv4, ipv6, asn, labels, ...reflector }, problems };
}
