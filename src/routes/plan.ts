// From the wanted and the present routes of one prefix to changes. Only routes with our marks are ours:
// any other that stands in the way is reported and left alone.
import type { LinkChange, Route, RouteHop } from '../kernel/kernel.ts';
import { cidrFamily } from '../net/cidr.ts';

export interface PrefixPlan {
  readonly changes: readonly LinkChange[];
  /** A foreign route that holds the place of the wanted one. */
  readonly conflict?: Route | undefined;
}

export interface PrefixState {
  readonly want: Route | undefined;
  /** Routes of ours to this prefix. */
  readonly ours: readonly Route[];
  /** Routes of others to this prefix. */
  readonly foreign: readonly Route[];
  /** Whether a route of ours that nobody wants may go. */
  readonly mayRemove: (route: Route) => boolean;
}

const put = (route: Route): LinkChange => ({ kind: 'addRoute', route });
const remove = (route: Route): LinkChange => ({ kind: 'deleteRoute', route });

export function planPrefix({ want, ours, foreign, mayRemove }: PrefixState): PrefixPlan {
  if (!want) return { changes: ours.filter(mayRemove).map(remove) };
  const inPlace = ours.find((route) => route.metric === want.metric);
  const rest = ours.filter((route) => route !== inPlace).map(remove);
  if (inPlace) return { changes: [...exchange(inPlace, want), ...rest] };
  const conflict = foreign.find((route) => route.metric === want.metric);
  return conflict ? { changes: rest, conflict } : { changes: [put(want), ...rest] };
}

function exchange(present: Route, want: Route): readonly LinkChange[] {
  if (sameRoute(present, want)) return [];
  // IPv6 would keep both: its replacement only looks at routes that can be one of several ways.
  if (cidrFamily(want.destination) === 6 && present.kind !== want.kind)
    return [remove(present), put(want)];
  // A replacement leaves no moment without a route.
  return [{ kind: 'replaceRoute', route: want }];
}

/** Equal in all that steers a packet. A blackhole's link is the kernel's affair. */
export function sameRoute(a: Route, b: Route): boolean {
  if (a.destination !== b.destination || a.metric !== b.metric) return false;
  if (a.protocol !== b.protocol || a.kind !== b.kind) return false;
  if (a.kind === 'blackhole') return true;
  if (a.hops || b.hops) return sameHops(a.hops, b.hops);
  return a.gateway === b.gateway && a.linkIndex === b.linkIndex && a.onlink === b.onlink;
}

/** IPv6 keeps the ways in an order of its own. */
const sameHops = (a: readonly RouteHop[] = [], b: readonly RouteHop[] = []): boolean =>
  a.length === b.length && textOf(a) === textOf(b);

const textOf = (hops: readonly RouteHop[]): string =>
  hops
    .map(({ gateway, linkIndex, onlink, weight = 1 }) =>
      [gateway, linkIndex, onlink, weight].join(),
    )
    .sort()
    .join(' ');
