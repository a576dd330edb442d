// The kernel work of ADD as data: Calico's point-to-point layout. The pod has a /32, its gateway
// 169.254.1.1 is on no interface and answered by proxy ARP on the host end, and the host holds one
// /32 route per pod. IPv6 uses the host end's link-local address as the gateway.
import type { LinkChange, Route } from '../kernel/kernel.ts';
import { ROUTE_PROTOCOL } from '../kernel/kernel.ts';
import type { QosControls } from '../model/workload-endpoint.ts';
import { type Cidr, cidr, cidrFamily, hostCidr, parseCidr } from '../net/cidr.ts';
import { bitsOf, familyOf, type Ip, ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import { FIRST_INTERFACE } from './request.ts';

export const HOST_MAC = mac('ee:ee:ee:ee:ee:ee');
export const GATEWAY_V4 = ip('169.254.1.1');
/** EUI-64 of the host MAC. */
export const GATEWAY_V6 = ip('fe80::ecee:eeff:feee:eeee');

export type Sysctl = readonly [key: string, value: string];

/**
 * Host-end sysctls beside those of `hostLinkChanges`. Router advertisements are off before the link comes up, with and without IPv6
 * (CVE-2020-13597 class). route_localnet stays off: it would open services that listen on loopback.
 */
export function hostSysctls(name: string, hasV6: boolean): readonly Sysctl[] {
  const always: Sysctl[] = [[`ipv6/conf/${name}/accept_ra`, '0']];
  const v6: Sysctl[] = [
    [`ipv6/conf/${name}/disable_ipv6`, '0'],
    [`ipv6/conf/${name}/accept_dad`, '0'],
    [`ipv6/conf/${name}/addr_gen_mode`, '0'], // EUI-64: the address that the pod's gateway is
    [`ipv6/conf/${name}/proxy_ndp`, '1'],
    ['ipv6/conf/all/forwarding', '1'], // without it no interface forwards, whatever its own says
    [`ipv6/conf/${name}/forwarding`, '1'],
  ];
  return hasV6 ? [...always, ...v6] : always;
}

/** Sysctls inside the pod's namespace, before its link comes up: no router tells a pod where to send. */
export function podSysctlsBefore(ifname: string, hasV6: boolean): readonly Sysctl[] {
  const quiet: Sysctl = [`ipv6/conf/${ifname}/accept_ra`, '0'];
  const enabled = ['all', 'default', 'lo'].map(
    (where): Sysctl => [`ipv6/conf/${where}/disable_ipv6`, '0'],
  );
  return hasV6 ? [...enabled, [`ipv6/conf/${ifname}/accept_dad`, '0'], quiet] : [quiet];
}

/** Sysctls inside the pod's namespace. */
export function podSysctls(allowIpForwarding: boolean, hasV6 = false): readonly Sysctl[] {
  const value = allowIpForwarding ? '1' : '0';
  const v4: Sysctl = ['ipv4/ip_forward', value];
  return hasV6 ? [v4, ['ipv6/conf/all/forwarding', value]] : [v4];
}

/**
 * Host end up, with the MAC that every host end has; it routes and answers ARP for the gateway.
 * Where a pod `maySpoof` the policy's own reverse path check judges: it knows the prefixes.
 */
export const hostLinkChanges = (index: number, maySpoof = false): readonly LinkChange[] => [
  {
    kind: 'setLink',
    index,
    mac: HOST_MAC,
    up: true,
    ipv4: { forwarding: true, proxyArp: true, rpFilter: maySpoof ? 0 : 1 },
  },
  { kind: 'setProxyDelay', linkIndex: index, milliseconds: 0 },
];

const BITS = 8;

/**
 * What leaves by the link keeps to the pod's bandwidth: its ingress is what the host's end sends, its
 * egress what its own end sends. `mtu` is the least that goes at once.
 */
export function shaping(
  index: number,
  direction: 'ingress' | 'egress',
  qos: QosControls | undefined,
  mtu: number,
): readonly LinkChange[] {
  const bandwidth = qos?.[`${direction}Bandwidth`];
  if (!bandwidth) return [];
  const burst = qos[`${direction}Burst`] ?? 0;
  const peak = qos[`${direction}Peakrate`];
  const change: LinkChange = {
    kind: 'shapeLink',
    index,
    bytesPerSecond: bandwidth / BITS,
    burstBytes: Math.max(burst / BITS, mtu),
    peak: peak
      ? { bytesPerSecond: peak / BITS, burstBytes: qos[`${direction}Minburst`] ?? mtu }
      : undefined,
  };
  return [change];
}

/** What a pod is led to. */
export interface PodRouting {
  /** By family; absent: everywhere. */
  readonly destinations?: readonly Cidr[];
  /** Of a further interface's routes: the first one's go before them. */
  readonly metric?: number;
}

const EVERYWHERE: readonly Cidr[] = [cidr('0.0.0.0/0'), cidr('::/0')];

/** Another IPAM plugin's own routes replace the default routes, unless both are asked for. */
export function destinationsOf(
  routes: readonly { readonly dst: string }[],
  includeDefaults: boolean,
): readonly Cidr[] {
  const own = routes.flatMap(({ dst }) => parseCidr(dst) ?? []);
  return [...new Set(own.length === 0 || includeDefaults ? [...own, ...EVERYWHERE] : own)];
}

const FURTHER_METRIC = 1000;

/** Metric of the routes of an interface: those of several must not be the same. */
export const metricOf = (ifname: string, index: number): number =>
  ifname === FIRST_INTERFACE ? 0 : FURTHER_METRIC + index;

/** Everything inside the pod, in one send: links up, routes, addresses, the gateway's neighbour. */
export const podAddresses = (
  index: number,
  ips: readonly Ip[],
  routing: PodRouting = {},
): readonly LinkChange[] => ips.flatMap((address) => podAddressChanges(index, address, routing));

/** The pod's link comes up: this needs no address yet. The loopback is the runtime's. */
export const podLinkUp = (index: number): readonly LinkChange[] => [
  { kind: 'setLink', index, up: true },
];

function podAddressChanges(
  index: number,
  address: Ip,
  { destinations = EVERYWHERE, metric = 0 }: PodRouting,
): readonly LinkChange[] {
  const family = familyOf(address);
  const gateway = family === 4 ? GATEWAY_V4 : GATEWAY_V6;
  const base = {
    linkIndex: index,
    kind: 'unicast',
    protocol: ROUTE_PROTOCOL.boot,
    metric,
  } as const;
  const toGateway: Route = {
    ...base,
    destination: hostCidr(gateway),
    scope: 'link',
    onlink: false,
  };
  const byGateway = destinations
    .filter((destination) => cidrFamily(destination) === family)
    .map(
      (destination): LinkChange => ({
        kind: 'addRoute',
        route: { ...base, destination, gateway, scope: 'global', onlink: true },
      }),
    );
  return [
    { kind: 'addAddress', linkIndex: index, ip: address, prefixLength: bitsOf(family) },
    ...(family === 4 ? [{ kind: 'addRoute', route: toGateway } as const] : []),
    ...byGateway,
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
