// Node: Calico's record of a machine, written at start-up.
import { type Json, parseJson } from '../base/json.ts';
import { type InterfaceAddress, parseInterfaceAddress } from '../net/cidr.ts';
import { bitsOf, type Family, familyOf, parseIp } from '../net/ip.ts';
import { isObject, type Resource } from './resource.ts';

export interface NodeSpec {
  readonly bgp?: {
    /** Address with the length of its subnet, `192.168.81.101/24`. */
    readonly ipv4Address?: string;
    readonly ipv6Address?: string;
    readonly asNumber?: number;
    readonly ipv4IPIPTunnelAddr?: string;
    readonly routeReflectorClusterID?: string;
  };
  readonly ipv4VXLANTunnelAddr?: string;
  /** Of the IPv4 VXLAN device; absent: what the node's name gives. */
  readonly vxlanTunnelMACAddr?: string;
  readonly ipv6VXLANTunnelAddr?: string;
  readonly vxlanTunnelMACAddrV6?: string;
  readonly orchRefs?: readonly { readonly orchestrator: string; readonly nodeName?: string }[];
}

export type Node = Resource<'Node', NodeSpec>;

/** Of a record's address, with its subnet; without a length, which Calico reads too, that of a host. */
export function parseNodeAddress(text: string, family: Family): InterfaceAddress | undefined {
  const bare = parseIp(text);
  const address = bare ? { ip: bare, prefixLength: bitsOf(family) } : parseInterfaceAddress(text);
  return address && familyOf(address.ip) === family ? address : undefined;
}

/** The node's own address of a family. */
export const nodeAddress = (
  { bgp }: Pick<NodeSpec, 'bgp'>,
  family: Family,
): InterfaceAddress | undefined =>
  parseNodeAddress((family === 4 ? bgp?.ipv4Address : bgp?.ipv6Address) ?? '', family);

/** What the node's agent found of its MTU, as JSON. */
export const MTU_ANNOTATION = 'calico-kit.io/mtu';

/** Who tells other nodes of routes, where it is nobody (CALICO_NETWORKING_BACKEND). */
export const BACKEND_ANNOTATION = 'calico-kit.io/networking-backend';

/** Whether the node's agent says that no speaker runs beside it. */
export function isSilent({ metadata }: Pick<Node, 'metadata'>): boolean {
  const backend = metadata.annotations?.[BACKEND_ANNOTATION];
  return backend !== undefined && backend !== 'bird';
}

/** In octets. */
export interface NodeMtuRecord {
  /** Of the interface that carries least. */
  readonly host: number;
  readonly interface: string;
  /** Of pods whose network configuration names none. */
  readonly pods: number;
  /** What does not fit, in words. */
  readonly problem?: string;
}

export const printNodeMtu = (mtu: NodeMtuRecord): string => JSON.stringify(mtu);

/** Undefined when the agent has not told, or somebody else did. */
export function nodeMtuOf({ metadata }: Pick<Node, 'metadata'>): NodeMtuRecord | undefined {
  const { host, pods, interface: name, problem } = objectIn(metadata.annotations?.[MTU_ANNOTATION]);
  if (typeof host !== 'number' || typeof pods !== 'number') return undefined;
  const words = typeof problem === 'string' ? { problem } : {};
  return { host, pods, interface: String(name ?? ''), ...words };
}

function objectIn(text: string | undefined): Partial<Record<string, Json>> {
  try {
    const value = parseJson(text ?? '{}');
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
