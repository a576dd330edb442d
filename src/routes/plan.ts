// From desired and actual routes to changes. Only routes of protocol 12 (bird) are ours: any other
// that stands in the way is reported and left alone. What an earlier run left and nobody has
// claimed yet is kept until the caller says that everybody had time to speak, so that a restart of
// the speaker loses no packet.
import { delta } from '../base/delta.ts';
import { type LinkChange, ROUTE_PROTOCOL, type Route } from '../kernel/kernel.ts';
import type { Cidr } from '../net/cidr.ts';

export interface RoutePlan {
  readonly changes: readonly LinkChange[];
  /** Foreign routes that hold a destination we want. */
  readonly conflicts: readonly Route[];
}

export interface PlanInputs {
  readonly desired: ReadonlyMap<Cidr, Route>;
  /** All routes of the main table. */
  readonly actual: readonly Route[];
  /** Whether a route of ours that nobody wants may go; a blackhole is never asked about. */
  readonly mayRemove: (route: Route) => boolean;
}

export const isOurs = (route: Route): boolean => route.protocol === ROUTE_PROTOCOL.bird;

export function planRoutes({ desired, actual, mayRemove }: PlanInputs): RoutePlan {
  const ours = new Map<Cidr, Route>();
  const foreign = new Map<Cidr, Route>();
  const extra: Route[] = [];
  for (const route of actual) {
    const want = desired.get(route.destination);
    const inPlace = !want || want.metric === route.metric;
    if (!isOurs(route)) {
      if (want && inPlace) foreign.set(route.destination, route);
    } else if (inPlace) ours.set(route.destination, route);
    else extra.push(route);
  }
  const { put, remove } = delta(ours, desired, sameRoute);
  const removable = [...remove.map(([, route]) => route).filter(mayRemove), ...extra];
  const free = put.filter(([destination]) => !foreign.has(destination));
  const changes: LinkChange[] = [
    ...free.map(([destination, route]): LinkChange => {
      // A replacement leaves no moment without a route.
      const kind = ours.has(destination) ? 'replaceRoute' : 'addRoute';
      return { kind, route };
    }),
    ...removable.map((route): LinkChange => ({ kind: 'deleteRoute', route })),
  ];
  const conflicts = put.flatMap(([destination]) => foreign.get(destination) ?? []);
  return { changes, conflicts };
}

/** Equal in all that steers a packet. A blackhole's link is the kernel's affair. */
export function sameRoute(a: Route, b: Route): boolean {
  if (a.destination !== b.destination || a.metric !== b.metric) return false;
  if (a.protocol !== b.protocol || a.kind !== b.kind) return false;
  if (a.kind === 'blackhole') return true;
  return a.gateway === b.gateway && a.linkIndex === b.linkIndex && a.onlink === b.onlink;
}
