// Routes of the memory twin: identity and what reads back, as Linux has it.
import { OpError } from '../../base/op-error.ts';
import { familyOf } from '../../net/ip.ts';
import type { InterfaceAddressOfLink, Link, Route } from '../kernel.ts';

/** The kernel's own metric of IPv6 routes that are added with 0. */
const IPV6_METRIC = 1024;

const ENETDOWN = 100;
const ENETUNREACH = 101;

/** The link of a new route: the named one, else the one that reaches its gateway. Each must be up. */
export function linkFor(
  route: Route,
  linkAt: (index: number) => Link,
  addresses: readonly InterfaceAddressOfLink[],
): Link | undefined {
  const { destination, gateway } = route;
  const refused = (why: string, errno: number) =>
    new OpError(`add route ${destination}`, why, errno);
  const links = linksOf(route).map(linkAt);
  if (links.length === 0 && gateway) {
    const towards = addresses.find((a) => familyOf(a.ip) === familyOf(gateway));
    if (!towards) throw refused('network is unreachable', ENETUNREACH);
    links.push(linkAt(towards.linkIndex));
  }
  if (links.some(({ up }) => !up)) throw refused('network is down', ENETDOWN);
  return links[0];
}

/** As the kernel reads it back: the link that the gateway needs; IPv6 routes have no scope. */
export function storedAs(route: Route, link: Link | undefined): Route {
  const { kind, gateway, destination } = route;
  const linked =
    link && kind === 'unicast' && !route.hops ? { ...route, linkIndex: link.index } : route;
  if (!destination.includes(':')) return linked;
  const scope = kind === 'unicast' && !gateway && !route.hops ? 'link' : 'global';
  return { ...linked, scope, metric: metricOf(route) };
}

/** Whether a present route is the one that a deletion names; scope and hops do not matter. */
export const agrees = (present: Route, named: Route): boolean =>
  sameIdentity(present, named) &&
  present.protocol === named.protocol &&
  present.kind === named.kind &&
  (named.gateway === undefined || present.gateway === named.gateway) &&
  (named.linkIndex === undefined || present.linkIndex === named.linkIndex);

/** The links that a route leads to. */
export const linksOf = ({ linkIndex, hops }: Route): readonly number[] =>
  hops?.map((hop) => hop.linkIndex) ?? (linkIndex === undefined ? [] : [linkIndex]);

const metricOf = ({ destination, metric }: Route): number =>
  destination.includes(':') ? metric || IPV6_METRIC : metric;
export const sameIdentity = (a: Route, b: Route): boolean =>
  a.destination === b.destination && metricOf(a) === metricOf(b);
