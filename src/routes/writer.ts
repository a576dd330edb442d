// Two programs write routes of blocks: the speaker, and the agent for pools whose packets travel in VXLAN.
// Whose affair a prefix is follows from its pool alone, so that a pool that changes hands is handed over
// route by route, each replaced in place, and no route is left without an owner.
import { ROUTE_PROTOCOL, type Route } from '../kernel/kernel.ts';
import type { Cidr } from '../net/cidr.ts';

type Mode = 'Always' | 'CrossSubnet' | 'Never';

export interface RoutePool {
  readonly cidr: Cidr;
  readonly ipip: Mode;
  readonly vxlan: Mode;
}

export interface Writer {
  /** Its mark. */
  readonly protocol: number;
  /** Whether marked routes to addresses of the pool, or of none, are its affair. */
  owns(pool: RoutePool | undefined): boolean;
  /** Whether it leads the way to other nodes' addresses of the pool. */
  leads(pool: RoutePool | undefined): boolean;
}

const isOverlay = (pool: RoutePool | undefined): boolean =>
  pool !== undefined && pool.vxlan !== 'Never';

export const SPEAKER: Writer = {
  protocol: ROUTE_PROTOCOL.bird,
  owns: (pool) => !isOverlay(pool),
  leads: (pool) => !isOverlay(pool),
};

/** The agent beside a speaker. */
export const AGENT: Writer = {
  protocol: ROUTE_PROTOCOL.overlay,
  owns: isOverlay,
  leads: isOverlay,
};

/** The agent of a node without a speaker: what a former one left is its affair too. */
export const SOLE_AGENT: Writer = { ...AGENT, owns: () => true };

/** Whether a route is of one of the two; all others are foreign. */
export const isMarked = ({ protocol }: Pick<Route, 'protocol'>): boolean =>
  protocol === ROUTE_PROTOCOL.bird || protocol === ROUTE_PROTOCOL.overlay;
