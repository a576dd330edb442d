// Who programs the kernel's routes to other nodes' pods. Calico asks it twice: `programClusterRoutes` of
// BGPConfiguration `default` names the pools whose routes are the speaker's, that of FelixConfiguration those
// whose routes are the agent's. Routes of VXLAN pools are the agent's in any case.
import { parseResource } from './resource.ts';

/** The pools that one of the two programs routes of. */
export interface ClusterRoutes {
  /** Pools whose packets travel in IP-in-IP, in some subnets at least. */
  readonly ipip: boolean;
  /** Pools without any encapsulation. */
  readonly bare: boolean;
}

export type RouteOwner = 'speaker' | 'agent' | 'nobody';

const VALUES: Readonly<Record<string, ClusterRoutes>> = {
  Enabled: { ipip: true, bare: true },
  EnabledIPIPOnly: { ipip: true, bare: false },
  EnabledNoEncapOnly: { ipip: false, bare: true },
  Disabled: { ipip: false, bare: false },
};
export const CLUSTER_ROUTES = Object.keys(VALUES);

/** Undefined: nothing is said, or nothing that can be read. */
export const clusterRoutes = (text: unknown): ClusterRoutes | undefined =>
  typeof text === 'string' && Object.hasOwn(VALUES, text) ? VALUES[text] : undefined;

/** What a stored BGPConfiguration or FelixConfiguration says, unread. */
export function clusterRoutesIn(kind: string, stored: string): unknown {
  const parsed = parseResource<string, { readonly programClusterRoutes?: unknown }>(kind, stored);
  return parsed.ok ? parsed.value.spec.programClusterRoutes : undefined;
}

/**
 * Exactly one writes the routes of a pool, or nobody does. Where one alone of the two says a word,
 * the rest is the other's; where neither does, the speaker writes all; what both claim is the
 * speaker's.
 */
export function ownerOfRoutes(
  pool: keyof ClusterRoutes,
  speaker: ClusterRoutes | undefined,
  agent: ClusterRoutes | undefined,
): RouteOwner {
  if (speaker ? speaker[pool] : !agent?.[pool]) return 'speaker';
  return !agent || agent[pool] ? 'agent' : 'nobody';
}
