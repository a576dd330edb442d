// What filters and the decision look at beside the routes themselves: over which interface a next hop is
// reached, and which priority a route has that says nothing of it (Calico's FIB priority, the
// kernel's metric, which LOCAL_PREF carries).
import type { Family, Ip } from '../../../net/ip.ts';

export interface Conditions {
  /** Undefined: nobody knows, or it is not reached. */
  readonly interfaceTo: (nextHop: Ip) => string | undefined;
  /** BGPConfiguration `ipv4NormalRoutePriority` and `ipv6NormalRoutePriority`. */
  normalPriorities: NormalPriorities;
}

export type NormalPriorities = Readonly<Record<Family, number>>;

export const DEFAULT_PRIORITIES: NormalPriorities = { 4: 1024, 6: 1024 };
/** Calico's LOCAL_PREF tells the kernel's metric: the lower the metric, the higher it is. */
const PRIORITY_SUM = 2_147_483_647;
/** LOCAL_PREFs from here on are Calico's; nobody chooses such ones by hand. */
const SCALE_FROM = 2 ** 30;
/** Stands for the normal priority, since all routers know it. */
const NORMAL_PREFERENCE = 100;

/** The priority that a LOCAL_PREF tells. */
export const priorityOf = (localPref: number, normal: number): number =>
  localPref === NORMAL_PREFERENCE ? normal : PRIORITY_SUM - localPref;

/** The LOCAL_PREF that tells a priority, as all of Calico's nodes read it. */
export const localPrefOf = (priority: number): number => PRIORITY_SUM - priority;

/**
 * What the decision compares: the normal priority counts as the usual LOCAL_PREF, told in whichever
 * way, and what is less urgent than normal stands just below it, not above.
 */
export function preferenceOf(localPref: number, normal: number): number {
  if (localPref < SCALE_FROM || localPref > PRIORITY_SUM) return localPref;
  const beyond = PRIORITY_SUM - localPref - normal;
  return beyond < 0 ? localPref : NORMAL_PREFERENCE - beyond / 2 ** 31;
}
