// The kernel routes that a node's own and learned prefixes demand. A route that cannot be built
// is a problem in words, never a wrong route.

import { ROUTE_PROTOCOL, type Route } from '../kernel/kernel.ts';
import {
  type Cidr,
  cidrFamily,
  cidrOf,
  contains,
  containsCidr,
  prefixLengthOf,
} from '../net/cidr.ts';
import { bitsOf, familyOf, type Ip } from '../net/ip.ts';
import type { OwnRoutes } from './own.ts';

export interface LearnedPrefix {
  readonly prefix: Cidr;
  readonly nextHop: Ip;
}

export interface RoutePool {
  readonly cidr: Cidr;
  readonly ipip: 'Always' | 'CrossSubnet' | 'Never';
  readonly vxlan: 'Always' | 'CrossSubnet' | 'Never';
}

export interface RouteInputs {
  readonly own: Pick<OwnRoutes, 'blackholes' | 'held'>;
  readonly learned: Iterable<LearnedPrefix>;
  readonly pools: readonly RoutePool[];
  /** The kernel's routes of the main table, ours among them. */
  readonly actual: readonly Route[];
  /** The node's own subnet, for CrossSubnet. */
  readonly subnet: Cidr | undefined;
  /** Index of tunl0 when it is there and up. */
  readonly tunnelLink: number | undefined;
}

export interface DesiredRoutes {
  readonly routes: ReadonlyMap<Cidr, Route>;
  readonly problems: readonly string[];
}

export function desiredRoutes(inputs: RouteInputs): DesiredRoutes {
  const routes = new Map<Cidr, Route>();
  const problems: string[] = [];
  const resolve = nextHopResolver(inputs.actual);
  for (const { prefix, nextHop } of inputs.learned) {
    // An address that moved here is still told by the node it left, for a moment.
    if (inputs.own.held.has(prefix)) continue;
    const made = learnedRoute({ prefix, nextHop }, inputs, resolve);
    if (typeof made === 'string') problems.push(made);
    else routes.set(prefix, made);
  }
  // Set last: an own block wins over a learned prefix. Traffic to its free addresses ends here,
  // instead of going in circles over the default route.
  for (const block of inputs.own.blackholes)
    routes.set(block, { ...common(block), kind: 'blackhole' });
  return { routes, problems };
}

/** The kernel gives an IPv6 route without a metric this one. */
const IPV6_METRIC = 1024;

const common = (destination: Cidr) => ({
  destination,
  scope: 'global' as const,
  onlink: false,
  protocol: ROUTE_PROTOCOL.bird,
  metric: cidrFamily(destination) === 6 ? IPV6_METRIC : 0,
});

type Resolve = (nextHop: Ip) => { readonly gateway: Ip; readonly linkIndex: number } | undefined;

function learnedRoute(
  { prefix, nextHop }: LearnedPrefix,
  inputs: RouteInputs,
  resolve: Resolve,
): Route | string {
  const pool = inputs.pools.find(({ cidr }) => containsCidr(cidr, prefix));
  const near = inputs.subnet !== undefined && contains(inputs.subnet, nextHop);
  const wants = (mode: RoutePool['ipip'] | undefined): boolean =>
    mode === 'Always' || (mode === 'CrossSubnet' && !near);
  if (wants(pool?.vxlan)) return `${prefix}: pool ${pool?.cidr} demands VXLAN, which is not served`;
  if (wants(pool?.ipip)) {
    if (inputs.tunnelLink === undefined)
      return `${prefix}: pool ${pool?.cidr} demands IPIP, but there is no tunl0 on this node`;
    const tunnel = { gateway: nextHop, linkIndex: inputs.tunnelLink, onlink: true };
    return { ...common(prefix), kind: 'unicast', ...tunnel };
  }
  const hop = resolve(nextHop);
  if (!hop) return `${prefix}: next hop ${nextHop} is not reachable`;
  return { ...common(prefix), kind: 'unicast', ...hop };
}

// A next hop beyond a router is reached through that router (BIRD's `gateway recursive`). Our own
// routes do not count: a next hop must not hang on what another next hop told.
function nextHopResolver(actual: readonly Route[]): Resolve {
  // By length, so that a next hop asks once per length and not once per route.
  const byLength = new Map<number, Map<Cidr, Route>>();
  for (const route of actual) {
    if (route.protocol === ROUTE_PROTOCOL.bird) continue;
    const length = prefixLengthOf(route.destination);
    const routes = byLength.get(length) ?? new Map<Cidr, Route>();
    const rival = routes.get(route.destination);
    if (!rival || route.metric < rival.metric) routes.set(route.destination, route);
    byLength.set(length, routes);
  }
  const lengths = [...byLength.keys()].sort((a, b) => b - a);
  const lookUp = (nextHop: Ip): Route | undefined => {
    for (const length of lengths) {
      if (length > bitsOf(familyOf(nextHop))) continue;
      const route = byLength.get(length)?.get(cidrOf(nextHop, length));
      if (route) return route;
    }
    return undefined;
  };
  const known = new Map<Ip, ReturnType<Resolve>>();
  return (nextHop) => {
    if (known.has(nextHop)) return known.get(nextHop);
    const route = lookUp(nextHop);
    const hop =
      route?.kind === 'unicast' && route.linkIndex !== undefined
        ? { gateway: route.gateway ?? nextHop, linkIndex: route.linkIndex }
        : undefined;
    known.set(nextHop, hop);
    return hop;
  };
}
