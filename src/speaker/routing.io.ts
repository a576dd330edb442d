// Keeps the kernel's routes as the blocks and the learned prefixes demand: at once when they
// change, within a second when somebody else changes ours, and every 90 seconds in any case.
import type { Log } from '../base/log.io.ts';
import { messageOf } from '../base/op-error.ts';
import type { Kernel, KernelEvent, LinkChange, Route } from '../kernel/kernel.ts';
import {
  type Cidr,
  cidrFamily,
  cidrOf,
  type InterfaceAddress,
  prefixLengthOf,
} from '../net/cidr.ts';
import { bitsOf } from '../net/ip.ts';
import { desiredRoutes, type LearnedPrefix, type RoutePool } from '../routes/desired.ts';
import { isOurs, planRoutes, sameRoute } from '../routes/plan.ts';

/** What is wanted at the moment; asked for at each reconciliation. */
export interface RouteDemand {
  readonly ownBlocks: readonly Cidr[];
  readonly learned: Iterable<LearnedPrefix>;
  readonly pools: readonly RoutePool[];
  readonly address: InterfaceAddress | undefined;
}

export interface Routing {
  /** The demand changed. Nothing is written before the first call. */
  changed(): void;
  /** Everybody had time to speak: what an earlier run left and nobody claims may go. */
  sweep(): void;
  /** What keeps a wanted route out of the kernel, in words. */
  readonly problems: readonly string[];
  close(): void;
}

const SETTLE_MS = 10;
const RETRY_MS = 1000;
const REFRESH_MS = 90_000;
const TUNNEL = 'tunl0';

export function openRouting(kernel: Kernel, log: Log, demand: () => RouteDemand): Routing {
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let due = Number.POSITIVE_INFINITY;
  let begun = false;
  let problems: readonly string[] = [];
  let desired: ReadonlyMap<Cidr, Route> = new Map();
  /** Remote routes of an earlier run that nobody has claimed yet; undefined before the first look. */
  let adopted: Set<Cidr> | undefined;

  const schedule = (delayMs: number): void => {
    const at = performance.now() + delayMs;
    if (!begun || stop.signal.aborted || at >= due) return;
    due = at;
    clearTimeout(timer);
    timer = setTimeout(reconcile, delayMs);
  };

  function reconcile(): void {
    due = Number.POSITIVE_INFINITY;
    let failed: readonly string[];
    try {
      failed = once();
    } catch (cause) {
      failed = [`routes cannot be read: ${messageOf(cause)}`];
    }
    if (failed.join() !== problems.join() && failed.length > 0)
      log.warn({ problems: failed }, 'routes are missing');
    problems = failed;
    schedule(failed.length > 0 ? RETRY_MS : REFRESH_MS);
  }

  function once(): readonly string[] {
    const wanted = demand();
    const actual = kernel.routes();
    const tunnel = kernel.link(TUNNEL);
    const made = desiredRoutes({
      ...wanted,
      actual,
      subnet: wanted.address && cidrOf(wanted.address.ip, wanted.address.prefixLength),
      tunnelLink: tunnel?.up ? tunnel.index : undefined,
    });
    desired = made.routes;
    adopted ??= new Set(
      actual.filter((r) => isOurs(r) && r.kind === 'unicast').map((r) => r.destination),
    );
    for (const destination of desired.keys()) adopted.delete(destination);
    const unclaimed = adopted;
    const plan = planRoutes({
      desired,
      actual,
      mayRemove: (route) => route.kind === 'blackhole' || !unclaimed.has(route.destination),
    });
    return [
      ...made.problems,
      ...plan.conflicts.map((r) => `${r.destination}: a route of protocol ${r.protocol} is there`),
      ...plan.changes.flatMap((change) => applyOne(kernel, change, log)),
    ];
  }

  const events = (event: KernelEvent): void => {
    if (event.kind === 'route' && !concerns(event.route, event.gone, desired)) return;
    schedule(SETTLE_MS);
  };
  kernel.subscribe(events, stop.signal);
  return {
    changed() {
      begun = true;
      schedule(SETTLE_MS);
    },
    sweep() {
      adopted = new Set();
      schedule(SETTLE_MS);
    },
    get problems() {
      return problems;
    },
    close() {
      // The routes stay: pods keep their way while no speaker runs.
      stop.abort();
      clearTimeout(timer);
    },
  };
}

// Our own changes come back as events too; they agree with what is desired and need no look.
function concerns(route: Route, gone: boolean, desired: ReadonlyMap<Cidr, Route>): boolean {
  const want = desired.get(route.destination);
  // A foreign route may carry a next hop; pods' own routes, which come and go, carry none.
  if (!isOurs(route)) return want !== undefined || !isHost(route.destination);
  return gone ? want !== undefined : want === undefined || !sameRoute(route, want);
}

const isHost = (c: Cidr): boolean => prefixLengthOf(c) === bitsOf(cidrFamily(c));

// One by one: the refusal of one route must not hide which it was.
function applyOne(kernel: Kernel, change: LinkChange, log: Log): readonly string[] {
  const route = 'route' in change ? change.route : undefined;
  try {
    kernel.apply([change]);
    log.info({ change: change.kind, ...route }, 'route');
    return [];
  } catch (cause) {
    return [`${route?.destination}: ${messageOf(cause)}`];
  }
}
