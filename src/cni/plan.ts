// The kernel work of ADD as data: Calico's point-to-point layout. The pod has a /32, its gateway
// 169.254.1.1 is on no interface and answered by proxy ARP on the host end, and the host holds one
// /32 route per pod. IPv6 uses the host end's link-local address as the gateway.
import type { LinkChange, Route } from '../kernel/kernel.ts';
import { ROUTE_PROTOCOL } from '../kernel/kernel.ts';
import { cidr, hostCidr } from '../net/cidr.ts';
import { bitsOf, familyOf, type Ip, ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';

export const HOST_MAC = mac('ee:ee:ee:ee:ee:ee');
export const GATEWAY_V4 = ip('169.254.1.1');
/** EUI-64 of the host MAC. */
export const GATEWAY_V6 = ip('fe80::ecee:eeff:feee:eeee');
const LOOPBACK_INDEX = 1;

export type Sysctl = readonly [key: string, value: string];

/** Host-end sysctls. accept_ra is off before the link comes up (rogue router advertisements). */
export function hostSysctls(name: string, hasV6: boolean): readonly Sysctl[] {
  const v4: Sysctl[] = [
    [`ipv4/conf/${name}/proxy_arp`, '1'],
    [`ipv4/conf/${name}/forwarding`, '1'],
    [`ipv4/conf/${name}/rp_filter`, '1'],
    [`ipv4/neigh/${name}/proxy_delay`, '0'],
    [`ipv6/conf/${name}/accept_ra`, '0'],
  ];
  const v6: Sysctl[] = [
    [`ipv6/conf/${name}/disable_ipv6`, '0'],
    [`ipv6/conf/${name}/accept_dad`, '0'],
    [`ipv6/conf/${name}/proxy_ndp`, '1'],
    [`ipv6/conf/${name}/forwarding`, '1'],
  ];
  return hasV6 ? [...v4, ...v6] : v4;
}

/** Sysctls inside the pod's namespace. */
export const podSysctls = (allowIpForwarding: boolean): readonly Sysctl[] => [
  ['ipv4/ip_forward', allowIpForwarding ? '1' : '0'],
];

/** Host end up, with the MAC that every host end has. */
export const hostLinkChanges = (index: number): readonly LinkChange[] => [
  { kind: 'setLink', index, mac: HOST_MAC, up: true },
];

/** Everything inside the pod, in one send: links up, routes, addresses, the gateway's neighbour. */
export function podChanges(index: number, ips: readonly Ip[]): readonly LinkChange[] {
  const up: LinkChange[] = [
    { kind: 'setLink', index: LOOPBACK_INDEX, up: true },
    { kind: 'setLink', index, up: true },
  ];
  return [...up, ...ips.flatMap((address) => podAddressChanges(index, address))];
}

function podAddressChanges(index: number, address: Ip): readonly LinkChange[] {
  const v4 = familyOf(address) === 4;
  const gateway = v4 ? GATEWAY_V4 : GATEWAY_V6;
  const everywhere = cidr(v4 ? '0.0.0.0/0' : '::/0');
  const base = {
    linkIndex: index,
    kind: 'unicast',
    protocol: ROUTE_PROTOCOL.boot,
    metric: 0,
  } as const;
  const toGateway: Route = {
    ...base,
    destination: hostCidr(gateway),
    scope: 'link',
    onlink: false,
  };
  const byGateway: Route = {
    ...base,
    destination: everywhere,
    gateway,
    scope: 'global',
    onlink: true,
  };
  return [
    { kind: 'addAddress', linkIndex: index, ip: address, prefixLength: bitsOf(familyOf(address)) },
    ...(v4 ? [{ kind: 'addRoute', route: toGateway } as const] : []),
    { kind: 'addRoute', route: byGateway },
    { kind: 'setNeighbour', linkIndex: index, ip: gateway, mac: HOST_MAC },
  ];
}

/** `<pod>/32 dev cali… scope link`. */
export const hostRoute = (hostIndex: number, address: Ip): Route => ({
  destination: hostCidr(address),
  kind: 'unicast',
  linkIndex: hostIndex,
  scope: 'link',
  onlink: false,
  protocol: ROUTE_PROTOCOL.boot,
  metric: 0,
});
