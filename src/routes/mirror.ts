// What the kernel's main table holds, as far as we were told: kept by our own writes and by what the
// kernel tells, so that a change of one prefix costs no look at the others. It may err where the
// kernel says nothing (routes that went with a link); an audit against the whole table sets it right.
import type { Route, RouteHop } from '../kernel/kernel.ts';
import { type Cidr, cidrFamily } from '../net/cidr.ts';
import { sameRoute } from './plan.ts';
import { isMarked } from './writer.ts';

/** What a look at the kernel made of the mirror. */
export interface Heard {
  /** Destinations whose routes are others than thought. */
  readonly changed: readonly Cidr[];
  /** The kernel's words do not say all: only its table does. */
  readonly unsure: boolean;
}

const NOTHING: Heard = { changed: [], unsure: false };

export class Mirror {
  /** Routes by destination, ours and others'; hardly ever more than one. */
  private readonly routes = new Map<Cidr, readonly Route[]>();
  /** How many routes lead to a link. */
  private readonly byLink = new Map<number, number>();
  private audit: { readonly seen: Set<Route>; readonly touched: Set<Cidr> } | undefined;

  at(destination: Cidr): readonly Route[] {
    return this.routes.get(destination) ?? NONE;
  }

  /** Destinations with a route of our marks. */
  *marked(): Generator<Cidr> {
    for (const [destination, routes] of this.routes) if (routes.some(isMarked)) yield destination;
  }

  /** The kernel says that a route is there. */
  put(route: Route): Heard {
    const { destination } = route;
    this.audit?.touched.add(destination);
    const present = this.at(destination);
    const rival = present.find(({ metric }) => metric === route.metric);
    if (rival && sameRoute(rival, route)) return NOTHING;
    this.set(destination, [...present.filter((other) => other !== rival), route]);
    // It took the place of the other, or stands behind it: the kernel's words are the same.
    const unsure = rival !== undefined && isMarked(rival) !== isMarked(route);
    return { changed: [destination], unsure };
  }

  /** The kernel says that a route is gone. */
  remove(route: Route): Heard {
    const { destination } = route;
    this.audit?.touched.add(destination);
    const present = this.at(destination);
    const gone = present.find(
      (other) => other.metric === route.metric && other.protocol === route.protocol,
    );
    if (!gone) return NOTHING;
    const rest = present.filter((other) => other !== gone);
    const left = waysLeft(gone, route);
    this.set(destination, left ? [...rest, left] : rest);
    return { changed: [destination], unsure: false };
  }

  /** A link is down or gone, and routes over it went without a word. */
  dropLink(linkIndex: number): Heard {
    const changed: Cidr[] = [];
    let unsure = false;
    if (!this.byLink.has(linkIndex)) return NOTHING;
    for (const [destination, routes] of this.routes) {
      if (!routes.some((route) => linksOf(route).includes(linkIndex))) continue;
      const left = routes.filter((route) => route.linkIndex !== linkIndex);
      // Of several ways the kernel may keep the others.
      if (routes.some(({ hops, gateway }) => hops || gateway)) unsure = true;
      this.audit?.touched.add(destination);
      this.set(destination, left);
      changed.push(destination);
    }
    return { changed, unsure };
  }

  /** From now on what is put and removed is newer than what the audit finds. */
  beginAudit(): void {
    this.audit = { seen: new Set(), touched: new Set() };
  }

  /** A part of the kernel's whole table. */
  auditPart(found: readonly Route[]): Heard {
    const { audit } = this;
    if (!audit) return NOTHING;
    const changed: Cidr[] = [];
    for (const route of found) {
      const { destination } = route;
      if (audit.touched.has(destination)) continue;
      const present = this.at(destination);
      const known = present.find((other) => sameRoute(other, route));
      if (known) {
        audit.seen.add(known);
        continue;
      }
      const others = present.filter(
        (other) => audit.seen.has(other) || !sameIdentity(other, route),
      );
      this.set(destination, [...others, route]);
      audit.seen.add(route);
      changed.push(destination);
    }
    return { changed, unsure: false };
  }

  /** The whole table was seen: what was not is gone. */
  endAudit(): Heard {
    const { audit } = this;
    this.audit = undefined;
    if (!audit) return NOTHING;
    const changed: Cidr[] = [];
    for (const [destination, routes] of this.routes) {
      if (audit.touched.has(destination) || routes.every((route) => audit.seen.has(route)))
        continue;
      this.set(
        destination,
        routes.filter((route) => audit.seen.has(route)),
      );
      changed.push(destination);
    }
    return { changed, unsure: false };
  }

  private set(destination: Cidr, routes: readonly Route[]): void {
    for (const route of this.at(destination)) this.count(route, -1);
    for (const route of routes) this.count(route, 1);
    if (routes.length > 0) this.routes.set(destination, routes);
    else this.routes.delete(destination);
  }

  private count(route: Route, by: 1 | -1): void {
    for (const link of linksOf(route)) {
      const count = (this.byLink.get(link) ?? 0) + by;
      if (count > 0) this.byLink.set(link, count);
      else this.byLink.delete(link);
    }
  }
}

const NONE: readonly Route[] = [];
const NO_LINKS: readonly number[] = [];

const sameIdentity = (a: Route, b: Route): boolean =>
  a.metric === b.metric && isMarked(a) === isMarked(b);

/** The links that a route leads to. */
const linksOf = ({ linkIndex, hops }: Route): readonly number[] =>
  hops?.map((hop) => hop.linkIndex) ?? (linkIndex === undefined ? NO_LINKS : [linkIndex]);

// IPv6 tells of a single way that leaves a route of several.
function waysLeft(present: Route, gone: Route): Route | undefined {
  if (cidrFamily(present.destination) === 4 || !present.hops || gone.hops) return undefined;
  const isGone = (hop: RouteHop): boolean =>
    hop.gateway === gone.gateway && hop.linkIndex === gone.linkIndex;
  const hops = present.hops.filter((hop) => !isGone(hop));
  return hops.length > 0 && hops.length < present.hops.length ? { ...present, hops } : undefined;
}
