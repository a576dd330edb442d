// Routes of the memory twin: identity and what reads back, as Linux has it.
import type { Link, Route } from './kernel.ts';

/** The kernel's own metric of IPv6 routes that are added with 0. */
const IPV6_METRIC = 1024;

/** As the kernel reads it back: the link that the gateway needs; IPv6 routes have no scope. */
export function storedAs(route: Route, link: Link | undefined): Route {
  const { kind, gateway, destination } = route;
  const linked = link && kind === 'unicast' ? { ...route, linkIndex: link.index } : route;
  if (!destination.includes(':')) return linked;
  const scope = kind === 'unicast' && !gateway ? 'link' : 'global';
  return { ...linked, scope, metric: metricOf(route) };
}

/** Whether a present route is the one that a deletion names; the scope does not matter. */
export const agrees = (present: Route, named: Route): boolean =>
  sameIdentity(present, named) &&
  present.protocol === named.protocol &&
  present.kind === named.kind &&
  (named.gateway === undefined || present.gateway === named.gateway) &&
  (named.linkIndex === undefined || present.linkIndex === named.linkIndex);

const metricOf = ({ destination, metric }: Route): number =>
  destination.includes(':') ? metric || IPV6_METRIC : metric;
export const sameIdentity = (a: Route, b: Route): boolean =>
  a.destination === b.destination && metricOf(a) === metricOf(b);
