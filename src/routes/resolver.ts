// Which way leads to a next hop. A next hop beyond a router is reached through that router (BIRD's
// `gateway recursive`). Our own routes do not count: a next hop must not hang on what another next
// hop told.
import type { Route, RouteHop } from '../kernel/kernel.ts';
import { type Cidr, cidrOf, contains, networkOf, prefixLengthOf } from '../net/cidr.ts';
import { bitsOf, familyOf, type Ip } from '../net/ip.ts';

/** The ways to a next hop: several when the route towards it has several; none: unreachable. */
export type Ways = readonly RouteHop[];

export class Resolver {
  // By length, so that a next hop asks once per length and not once per route.
  private readonly byLength = new Map<number, Map<Cidr, readonly Route[]>>();
  private lengths: readonly number[] = [];
  private readonly known = new Map<Ip, Ways>();
  private readonly touched = new Set<Cidr>();
  private ignored: ReadonlySet<number> = new Set();

  /** The routes of a destination that are not ours; none: it is gone. */
  set(destination: Cidr, routes: readonly Route[]): void {
    const length = prefixLengthOf(destination);
    let entries = this.byLength.get(length);
    if (!entries) {
      entries = new Map();
      this.byLength.set(length, entries);
      this.lengths = [...this.byLength.keys()].sort((a, b) => b - a);
    }
    if (routes.length > 0) entries.set(destination, routes);
    else if (!entries.delete(destination)) return;
    // Routes of pods come and go all the time, and hardly ever is one a next hop.
    const address = networkOf(destination);
    const isHost = length === bitsOf(familyOf(address));
    if (!isHost || this.known.has(address)) this.touched.add(destination);
  }

  /** Links that lead nowhere; what is known already stays until `forgetAll`. */
  ignore(links: ReadonlySet<number>): void {
    this.ignored = links;
  }

  waysTo(nextHop: Ip): Ways {
    let ways = this.known.get(nextHop);
    if (!ways) {
      ways = this.lookUp(nextHop);
      this.known.set(nextHop, ways);
    }
    return ways;
  }

  /** Next hops that are reached in another way since the last call. */
  changed(): ReadonlySet<Ip> {
    const others = new Set<Ip>();
    if (this.touched.size === 0) return others;
    for (const [nextHop, before] of this.known) {
      if (!this.isTouched(nextHop)) continue;
      const ways = this.lookUp(nextHop);
      if (sameWays(ways, before)) continue;
      this.known.set(nextHop, ways);
      others.add(nextHop);
    }
    this.touched.clear();
    return others;
  }

  /** Next hops that nobody names any more need not be remembered. */
  forgetAll(): void {
    this.known.clear();
  }

  /** Whether a known next hop is reached over the link. */
  uses(linkIndex: number): boolean {
    for (const ways of this.known.values())
      if (ways.some((way) => way.linkIndex === linkIndex)) return true;
    return false;
  }

  private isTouched(nextHop: Ip): boolean {
    for (const destination of this.touched) if (contains(destination, nextHop)) return true;
    return false;
  }

  private lookUp(nextHop: Ip): Ways {
    const bits = bitsOf(familyOf(nextHop));
    for (const length of this.lengths) {
      if (length > bits) continue;
      const routes = this.byLength.get(length)?.get(cidrOf(nextHop, length));
      const usable = routes && this.withoutIgnored(routes);
      if (usable && usable.length > 0) return waysOf(usable, nextHop);
    }
    return [];
  }

  private withoutIgnored(routes: readonly Route[]): readonly Route[] {
    const { ignored } = this;
    if (ignored.size === 0) return routes;
    const counts = (link: number | undefined): boolean => link === undefined || !ignored.has(link);
    return routes.flatMap((route) => {
      const hops = route.hops?.filter(({ linkIndex }) => counts(linkIndex));
      if (hops?.length === 0 || !counts(route.linkIndex)) return [];
      return hops ? [{ ...route, hops }] : [route];
    });
  }
}

function waysOf(routes: readonly Route[], nextHop: Ip): Ways {
  const route = routes.reduce((best, other) => (other.metric < best.metric ? other : best));
  if (route.kind === 'blackhole') return [];
  if (route.hops) return route.hops.map((hop) => ({ ...hop, gateway: hop.gateway ?? nextHop }));
  const { linkIndex, gateway = nextHop, onlink } = route;
  return linkIndex === undefined ? [] : [{ gateway, linkIndex, onlink }];
}

const sameWays = (a: Ways, b: Ways): boolean =>
  a.length === b.length &&
  a.every(
    (way, i) =>
      way.gateway === b[i]?.gateway &&
      way.linkIndex === b[i]?.linkIndex &&
      way.onlink === b[i]?.onlink,
  );
