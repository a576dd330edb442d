// The kernel route that a prefix demands: of an own block, of what peers or the datastore told, of a peer
// that is reached by a gateway of its own. A route that cannot be built is a problem in words, never a wrong
// route.

import type { Route, RouteHop } from '../kernel/kernel.ts';
import { type Cidr, cidrFamily, contains, containsCidr, hostCidr, networkOf } from '../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import type { Ways } from './resolver.ts';
import { type RoutePool, SPEAKER, type Writer } from './writer.ts';

export type { RoutePool } from './writer.ts';

/** A prefix of others, and where packets to it go: several next hops are equally good. */
export interface LearnedPrefix {
  readonly prefix: Cidr;
  /** Of nodes or routers; none: nobody tells of it any more. */
  readonly nextHops: readonly Ip[];
}

/** What routes follow from, beside the learned prefixes. */
export interface RouteFacts {
  /** Own blocks: traffic to their free addresses ends here. */
  readonly blackholes: ReadonlySet<Cidr>;
  /** Addresses that live here. */
  readonly held: ReadonlySet<Cidr>;
  /** Peers' addresses with a static route, and its gateway (BGPPeer `reachableBy`). */
  readonly statics: ReadonlyMap<Cidr, Ip>;
  readonly pools: readonly RoutePool[];
  /** The node's own subnets, for CrossSubnet. */
  readonly subnets: readonly Cidr[];
  /** Index of tunl0 when it is there and up. */
  readonly tunnelLink: number | undefined;
  /** What VXLAN needs, for who leads by it. */
  readonly overlay?: Overlay | undefined;
  /** Links over which no next hop is looked for (`ignoredInterfaces`). */
  readonly ignoredLinks: ReadonlySet<number>;
}

export interface Overlay {
  /** Indexes of the VXLAN devices that are up. */
  readonly links: ReadonlyMap<Family, number>;
  /** By a node's address: the address of its VXLAN device. */
  readonly vteps: ReadonlyMap<Ip, Ip>;
}

/** Packets are spread over no more than so many ways. */
export const HOPS_MAX = 16;
/** The kernel gives an IPv6 route without a metric this one. */
const IPV6_METRIC = 1024;

/** Undefined: no route is wanted; a text: one is, and why it cannot be. */
export function desiredRoute(
  { prefix, nextHops }: LearnedPrefix,
  facts: RouteFacts,
  waysTo: (nextHop: Ip) => Ways,
  writer: Writer = SPEAKER,
): Route | string | undefined {
  const made = routeOf({ prefix, nextHops }, facts, waysTo, writer);
  return typeof made === 'object' ? { ...made, protocol: writer.protocol } : made;
}

/** The pool that a prefix is of. */
export const poolOf = (prefix: Cidr, pools: readonly RoutePool[]): RoutePool | undefined =>
  pools.find(({ cidr }) => containsCidr(cidr, prefix));

type Unmarked = Omit<Route, 'protocol'>;

function routeOf(
  { prefix, nextHops }: LearnedPrefix,
  facts: RouteFacts,
  waysTo: (nextHop: Ip) => Ways,
  writer: Writer,
): Unmarked | string | undefined {
  const pool = poolOf(prefix, facts.pools);
  if (!writer.owns(pool)) return undefined;
  // An own block wins over a learned prefix. Traffic to its free addresses ends here, instead of
  // going in circles over the default route.
  if (facts.blackholes.has(prefix)) return { ...common(prefix), kind: 'blackhole' };
  // An address that moved here is still told by the node it left, for a moment.
  if (facts.held.has(prefix)) return undefined;
  const gateway = facts.statics.get(prefix);
  if (gateway !== undefined) return staticRoute(prefix, gateway, waysTo);
  if (nextHops.length === 0 || !writer.leads(pool)) return undefined;
  return learnedRoute({ prefix, nextHops }, pool, facts, waysTo);
}

const common = (destination: Cidr) => ({
  destination,
  scope: 'global' as const,
  onlink: false,
  metric: cidrFamily(destination) === 6 ? IPV6_METRIC : 0,
});

function staticRoute(prefix: Cidr, gateway: Ip, waysTo: (nextHop: Ip) => Ways): Unmarked | string {
  const way = waysTo(gateway).find((hop) => hop.gateway === gateway);
  if (!way) return `${prefix}: its gateway ${gateway} is on no link`;
  return routeBy(prefix, [way]);
}

function learnedRoute(
  { prefix, nextHops }: LearnedPrefix,
  pool: RoutePool | undefined,
  facts: RouteFacts,
  waysTo: (nextHop: Ip) => Ways,
): Unmarked | string {
  const hops = new Map<string, RouteHop>();
  const problems: string[] = [];
  for (const nextHop of nextHops) {
    const found = hopsTo(nextHop, pool, facts, waysTo);
    if (typeof found === 'string') problems.push(found);
    else for (const hop of found) hops.set(`${hop.gateway} ${hop.linkIndex}`, hop);
  }
  // The ways that are there carry what the others would have.
  if (hops.size > 0) return routeBy(prefix, [...hops.values()].slice(0, HOPS_MAX));
  return `${prefix}: ${problems.join(', ')}`;
}

function hopsTo(
  nextHop: Ip,
  pool: RoutePool | undefined,
  { subnets, tunnelLink, statics, overlay, held }: RouteFacts,
  waysTo: (nextHop: Ip) => Ways,
): Ways | string {
  // A pod of this node: no tunnel leads there.
  const here = held.has(hostCidr(nextHop));
  const near = subnets.some((subnet) => contains(subnet, nextHop));
  const wants = (mode: RoutePool['ipip'] | undefined): boolean =>
    !here && (mode === 'Always' || (mode === 'CrossSubnet' && !near));
  if (wants(pool?.vxlan)) return overlayHop(nextHop, overlay);
  if (wants(pool?.ipip)) {
    if (tunnelLink === undefined)
      return `pool ${pool?.cidr} demands IPIP, but there is no tunl0 on this node`;
    return [{ gateway: nextHop, linkIndex: tunnelLink, onlink: true }];
  }
  const ways = waysTo(staticGateway(statics, nextHop) ?? nextHop);
  return ways.length > 0 ? ways : `next hop ${nextHop} is not reachable`;
}

function overlayHop(node: Ip, overlay: Overlay | undefined): Ways | string {
  const linkIndex = overlay?.links.get(familyOf(node));
  const gateway = overlay?.vteps.get(node);
  if (linkIndex === undefined) return 'there is no VXLAN device on this node';
  if (!gateway) return `node ${node} has no VXLAN address`;
  return [{ gateway, linkIndex, onlink: true }];
}

function staticGateway(statics: ReadonlyMap<Cidr, Ip>, nextHop: Ip): Ip | undefined {
  if (statics.size === 0) return undefined;
  for (const [prefix, gateway] of statics) if (networkOf(prefix) === nextHop) return gateway;
  return undefined;
}

function routeBy(prefix: Cidr, hops: readonly RouteHop[]): Unmarked {
  const [only, ...more] = hops;
  const made = { ...common(prefix), kind: 'unicast' } as const;
  return more.length === 0 ? { ...made, ...only } : { ...made, hops };
}

/** The next hops that the route of a prefix hangs on. */
export const gatewaysOf = (
  nextHops: readonly Ip[],
  statics: ReadonlyMap<Cidr, Ip>,
): readonly Ip[] => nextHops.map((nextHop) => staticGateway(statics, nextHop) ?? nextHop);
