// The devices that carry packets of pods between nodes, and what a Node says of its own.
import { hex } from '../base/hash.ts';
import type { Family } from '../net/ip.ts';
import { type Mac, mac } from '../net/mac.ts';
import type { Encapsulation } from './mtu.ts';
import type { NodeSpec } from './node.ts';

export const TUNNEL_DEVICES: Readonly<Record<Encapsulation, string>> = {
  ipip: 'tunl0',
  vxlan: 'vxlan.calico',
  vxlanV6: 'vxlan-v6.calico',
};

/** Of the addresses inside and outside. */
export const TUNNEL_FAMILY: Readonly<Record<Encapsulation, Family>> = {
  ipip: 4,
  vxlan: 4,
  vxlanV6: 6,
};

export const VXLAN_DEFAULTS = { vni: 4096, port: 4789 } as const;

/** What a Node says of its device. */
export interface TunnelRecord {
  readonly address?: string | undefined;
  /** Of a VXLAN device. */
  readonly mac?: string | undefined;
}

/** What the Node says of the tunnel. */
export function tunnelRecord(spec: NodeSpec, tunnel: Encapsulation): TunnelRecord {
  switch (tunnel) {
    case 'ipip':
      return { address: spec.bgp?.ipv4IPIPTunnelAddr };
    case 'vxlan':
      return { address: spec.ipv4VXLANTunnelAddr, mac: spec.vxlanTunnelMACAddr };
    case 'vxlanV6':
      return { address: spec.ipv6VXLANTunnelAddr, mac: spec.vxlanTunnelMACAddrV6 };
  }
}

/** The Node with another record of the tunnel; what the record lacks goes. */
export function withTunnelRecord(
  spec: NodeSpec,
  tunnel: Encapsulation,
  { address, mac }: TunnelRecord,
): NodeSpec {
  if (tunnel === 'ipip') {
    const { ipv4IPIPTunnelAddr: _, ...bgp } = spec.bgp ?? {};
    return { ...spec, bgp: { ...bgp, ...(address ? { ipv4IPIPTunnelAddr: address } : {}) } };
  }
  if (tunnel === 'vxlan') {
    const { ipv4VXLANTunnelAddr: _, vxlanTunnelMACAddr: __, ...rest } = spec;
    return {
      ...rest,
      ...(address ? { ipv4VXLANTunnelAddr: address } : {}),
      ...(mac ? { vxlanTunnelMACAddr: mac } : {}),
    };
  }
  const { ipv6VXLANTunnelAddr: _, vxlanTunnelMACAddrV6: __, ...rest } = spec;
  return {
    ...rest,
    ...(address ? { ipv6VXLANTunnelAddr: address } : {}),
    ...(mac ? { vxlanTunnelMACAddrV6: mac } : {}),
  };
}

/**
 * The hardware address of a node's VXLAN device where its Node names none: the octet `f` and five of the
 * SHA-1 of the name, as in Felix, so that everybody comes to the same.
 */
export function vxlanMac(node: string, family: Family): Mac {
  const digits = hex('sha1', family === 4 ? node : `${node}-v6`).slice(0, 10);
  return mac(['66', ...(digits.match(/../g) ?? [])].join(':'));
}
