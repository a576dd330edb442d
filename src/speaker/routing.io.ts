// Keeps the kernel's routes as the blocks and the learned prefixes demand: at once when they
// change, within a second when somebody else changes ours, and every 90 seconds in any case.
import type { Clock } from '../base/clock.ts';
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
import type { OwnRoutes } from '../routes/own.ts';
import { isOurs, planRoutes, sameRoute } from '../routes/plan.ts';

/** What is wanted at the moment; asked for at each reconciliation. */
export interface RouteDemand {
  readonly own: OwnRoutes;
  readonly learned: Iterable<LearnedPrefix>;
  readonly pools: readonly RoutePool[];
  readonly address: InterfaceAddress | undefined;
}

const SETTLE_MS = 10;
const RETRY_MS = 1000;
const REFRESH_MS = 90_000;
const TUNNEL = 'tunl0';
/** After a reconciliation, rest this many times as long as it took: keepalives come first. */
const REST_FACTOR = 4;

export interface RoutingParts {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly demand: () => RouteDemand;
}

export class Routing {
  /** What keeps a wanted route out of the kernel, in words. */
  problems: readonly string[] = [];
  private readonly parts: RoutingParts;
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private due = Number.POSITIVE_INFINITY;
  private restUntil = 0;
  private begun = false;
  private desired: ReadonlyMap<Cidr, Route> = new Map();
  /** Remote routes of an earlier run that nobody has claimed yet; undefined before the first look. */
  private adopted: Set<Cidr> | undefined;

  constructor(parts: RoutingParts) {
    this.parts = parts;
    parts.kernel.subscribe((event) => this.onEvent(event), this.stopping.signal);
  }

  /** The demand changed. Nothing is written before the first call. */
  changed(): void {
    this.begun = true;
    this.schedule(SETTLE_MS);
  }

  /** Everybody had time to speak: what an earlier run left and nobody claims may go. */
  sweep(): void {
    if (this.adopted?.size === 0) return;
    this.adopted = new Set();
    this.schedule(SETTLE_MS);
  }

  /** The routes stay: pods keep their way while no speaker runs. */
  close(): void {
    this.stopping.abort();
    clearTimeout(this.timer);
  }

  private onEvent(event: KernelEvent): void {
    if (event.kind === 'route' && !concerns(event.route, event.gone, this.desired)) return;
    this.schedule(SETTLE_MS);
  }

  private schedule(delayMs: number): void {
    const now = this.parts.clock.now();
    const at = Math.max(now + delayMs, this.restUntil);
    if (!this.begun || this.stopping.signal.aborted || at >= this.due) return;
    this.due = at;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reconcile(), at - now);
  }

  private reconcile(): void {
    this.due = Number.POSITIVE_INFINITY;
    const began = this.parts.clock.now();
    let problems: readonly string[];
    try {
      problems = this.once();
    } catch (cause) {
      problems = [`routes cannot be read: ${messageOf(cause)}`];
    }
    if (problems.length > 0 && problems.join() !== this.problems.join())
      this.parts.log.warn({ problems }, 'routes are missing');
    this.problems = problems;
    const ended = this.parts.clock.now();
    this.restUntil = ended + REST_FACTOR * (ended - began);
    this.schedule(problems.length > 0 ? RETRY_MS : REFRESH_MS);
  }

  private once(): readonly string[] {
    const { kernel, log } = this.parts;
    const wanted = this.parts.demand();
    const actual = kernel.routes();
    const tunnel = kernel.link(TUNNEL);
    const made = desiredRoutes({
      ...wanted,
      actual,
      subnet: wanted.address && cidrOf(wanted.address.ip, wanted.address.prefixLength),
      tunnelLink: tunnel?.up ? tunnel.index : undefined,
    });
    this.desired = made.routes;
    this.adopted ??= new Set(
      actual.filter((r) => isOurs(r) && r.kind === 'unicast').map((r) => r.destination),
    );
    const unclaimed = this.adopted;
    for (const destination of made.routes.keys()) unclaimed.delete(destination);
    const plan = planRoutes({
      desired: made.routes,
      actual,
      mayRemove: (route) => route.kind === 'blackhole' || !unclaimed.has(route.destination),
    });
    const refused = plan.changes.flatMap((change) => applyOne(kernel, change, log));
    if (plan.changes.length > refused.length)
      log.info({ changes: plan.changes.length, refused: refused.length }, 'routes written');
    return [
      ...made.problems,
      ...plan.conflicts.map((r) => `${r.destination}: a route of protocol ${r.protocol} is there`),
      ...refused,
    ];
  }
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
    log.debug({ change: change.kind, ...route }, 'route');
    return [];
  } catch (cause) {
    return [`${route?.destination}: ${messageOf(cause)}`];
  }
}
