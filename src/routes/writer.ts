// Two programs write routes of blocks: the speaker, and the agent for pools whose packets travel in VXLAN and
// for those that it is told to (`programClusterRoutes`).
// Whose affair a prefix is follows from its pool alone, so that a pool that changes hands is handed over
// route by route, each replaced in place, and no route is left without an owner.
import { ROUTE_PROTOCOL, type Route } from '../kernel/kernel.ts';
import type { ClusterRoutes, RouteOwner } from '../model/cluster-routes.ts';
import type { IpPoolSpec } from '../model/ip-pool.ts';
import { type Cidr, cidr } from '../net/cidr.ts';

type Mode = 'Always' | 'CrossSubnet' | 'Never';

export interface RoutePool {
  readonly cidr: Cidr;
  readonly ipip: Mode;
  readonly vxlan: Mode;
  /** Who writes its routes; absent: the speaker, unless its packets travel in VXLAN. */
  readonly owner?: RouteOwner;
}

/** A stored pool as routes see it; `ownerOf` answers for pools without VXLAN. */
export function routePool(
  { cidr: range, ipipMode: ipip = 'Never', vxlanMode: vxlan = 'Never' }: IpPoolSpec,
  ownerOf: (pool: keyof ClusterRoutes) => RouteOwner,
): RoutePool {
  const owner = vxlan === 'Never' ? ownerOf(ipip === 'Never' ? 'bare' : 'ipip') : 'agent';
  return { cidr: cidr(range), ipip, vxlan, owner };
}

export interface Writer {
  /** Its mark. */
  readonly protocol: number;
  /** Whether marked routes to addresses of the pool, or of none, are its affair. */
  owns(pool: RoutePool | undefined): boolean;
  /** Whether it leads the way to other nodes' addresses of the pool. */
  leads(pool: RoutePool | undefined): boolean;
}

/** Routes to addresses of no pool are the speaker's. */
export const ownerOf = (pool: RoutePool | undefined): RouteOwner =>
  pool?.owner ?? (pool && pool.vxlan !== 'Never' ? 'agent' : 'speaker');

export const SPEAKER: Writer = {
  protocol: ROUTE_PROTOCOL.bird,
  owns: (pool) => ownerOf(pool) !== 'agent',
  leads: (pool) => ownerOf(pool) === 'speaker',
};

/** The agent beside a speaker. */
export const AGENT: Writer = {
  protocol: ROUTE_PROTOCOL.overlay,
  owns: (pool) => ownerOf(pool) === 'agent',
  leads: (pool) => ownerOf(pool) === 'agent',
};

/** The agent of a node without a speaker: what a former one left is its affair too. */
export const SOLE_AGENT: Writer = { ...AGENT, owns: () => true };

/** Whether a route is of one of the two; all others are foreign. */
export const isMarked = ({ protocol }: Pick<Route, 'protocol'>): boolean =>
  protocol === ROUTE_PROTOCOL.bird || protocol === ROUTE_PROTOCOL.overlay;
