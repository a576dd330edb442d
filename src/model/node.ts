// Node: Calico's record of a machine, written at start-up.
import type { Resource } from './resource.ts';

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
