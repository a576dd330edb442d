// Keeps the kernel's routes as the blocks and the learned prefixes demand: at once when they
// change, within a second when somebody else changes ours. The whole table is read at the start,
// every 90 seconds and after an overrun, in slices between which keepalives have their turn.
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { messageOf } from '../base/op-error.ts';
import type { Kernel, KernelEvent, Route } from '../kernel/kernel.ts';
import { TUNNEL_DEVICES, TUNNEL_FAMILY } from '../model/tunnel.ts';
import { cidrOf } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import { AuditPace } from './audit-pace.ts';
import type { LearnedPrefix } from './desired.ts';
import { ignoredLinks, isIgnored } from './ignored.ts';
import { LinkNames } from './link-names.ts';
import type { RouteDemand } from './route-demand.ts';
import { RouteSync } from './sync.ts';
import { SPEAKER, type Writer } from './writer.ts';

export type { RouteDemand } from './route-demand.ts';

/** Changes that come together are written together. */
const SETTLE_MS = 5;
/** Who keeps changing our routes is answered no more often than this. */
const REPAIR_PAUSE_MS = 200;
const RETRY_MS = 500;
const AUDIT_MS = 90_000;
/** Some 3 ms of the kernel's time. */
const PREFIXES_AT_ONCE = 250;
const PROBLEMS_LOGGED_MAX = 10;
const OVERLAY = (['vxlan', 'vxlanV6'] as const).map(
  (tunnel) => [TUNNEL_FAMILY[tunnel], TUNNEL_DEVICES[tunnel]] as const,
);
const TUNNELS: ReadonlySet<string> = new Set(Object.values(TUNNEL_DEVICES));

export interface RoutingParts {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  readonly demand: () => RouteDemand;
  /** Who writes; absent: the speaker. */
  readonly writer?: Writer;
  /** Everything that was to be written has been tried. */
  readonly settled?: () => void;
  /** Next hops may be reached over other links than before. */
  readonly otherWays?: () => void;
}

export class Routing {
  private readonly parts: RoutingParts;
  private readonly sync: RouteSync;
  private readonly stopping = new AbortController();
  private begun = false;
  private hasRead = false;
  private foundOurs = false;
  private ignoredInterfaces: readonly string[] = [];
  private isStale = true;
  private timer: NodeJS.Timeout | undefined;
  private due = Number.POSITIVE_INFINITY;
  private immediate: NodeJS.Immediate | undefined;
  private repairedAt = Number.NEGATIVE_INFINITY;
  private auditTimer: NodeJS.Timeout | undefined;
  private auditDue = Number.POSITIVE_INFINITY;
  private readonly pace = new AuditPace();
  private audit: Iterator<readonly Route[]> | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private written = 0;
  private named = '';
  private readonly linkNames: LinkNames;

  constructor(parts: RoutingParts) {
    this.parts = parts;
    this.sync = new RouteSync(parts.writer);
    this.linkNames = new LinkNames(parts.kernel);
    // The speaker makes no other routes: what it wrote it knows.
    const ownRoutes = (parts.writer ?? SPEAKER) !== SPEAKER;
    parts.kernel.subscribe((event) => this.heard(event), this.stopping.signal, { ownRoutes });
  }

  /** The name of the link over which a next hop is reached; undefined: none, or not known yet. */
  interfaceTo(nextHop: Ip): string | undefined {
    if (!this.hasRead) return undefined;
    const link = this.sync.wayTo(nextHop)?.linkIndex;
    return link === undefined ? undefined : this.linkNames.nameOf(link);
  }

  /** Whether there is a way to a next hop; before the first look there is none to any. */
  hasWay(nextHop: Ip): boolean {
    return this.hasRead && this.sync.hasWay(nextHop);
  }

  /** What keeps a wanted route out of the kernel, in words. */
  get problems(): readonly string[] {
    return this.sync.problems;
  }

  /** Whether a run before this one left routes. */
  isRestart(): boolean {
    try {
      this.read();
    } catch (cause) {
      this.parts.log.warn({ cause: messageOf(cause) }, 'the routes cannot be read');
    }
    return this.foundOurs;
  }

  /** The demand changed. Nothing is written before the first call. */
  changed(): void {
    this.begun = true;
    this.isStale = true;
    this.schedule(SETTLE_MS);
  }

  /** Prefixes whose next hops are others now. */
  learned(changes: readonly LearnedPrefix[]): void {
    this.sync.learned(changes);
    this.schedule(SETTLE_MS);
  }

  /** Everybody had time to speak: what an earlier run left and nobody claims may go. */
  sweep(): void {
    this.sync.sweep();
    this.schedule(SETTLE_MS);
  }

  /** What the kernel refused may be possible now. */
  retry(): void {
    this.sync.retry();
    this.schedule(SETTLE_MS);
  }

  /** The routes stay: pods keep their way while no speaker runs. */
  close(): void {
    this.stopping.abort();
    for (const timer of [this.timer, this.auditTimer, this.retryTimer]) clearTimeout(timer);
    clearImmediate(this.immediate);
    this.audit?.return?.();
  }

  /** The kernel has all that it shall have, but for what it refused. */
  get isSettled(): boolean {
    return this.hasRead && !this.isStale && this.sync.isSettled;
  }

  private heard(event: KernelEvent): void {
    if (!this.hasRead) return;
    this.sync.heard(event);
    this.linkNames.heard(event);
    if (event.kind === 'link' && this.concerns(event.link.name)) this.isStale = true;
    if (this.sync.needsAudit) this.scheduleAudit(0);
    if (this.sync.isSettled && !this.isStale) return;
    const rest = this.repairedAt + REPAIR_PAUSE_MS - this.parts.clock.now();
    this.schedule(Math.max(SETTLE_MS, rest));
  }

  private schedule(delayMs: Milliseconds): void {
    const at = this.parts.clock.now() + delayMs;
    if (!this.begun || this.stopping.signal.aborted || this.immediate || at >= this.due) return;
    this.due = at;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.work(), delayMs);
  }

  private work(): void {
    this.due = Number.POSITIVE_INFINITY;
    this.immediate = undefined;
    try {
      if (this.writeSome()) {
        this.immediate = setImmediate(() => this.work());
        return;
      }
    } catch (cause) {
      this.parts.log.warn({ cause: messageOf(cause) }, 'the routes cannot be read or written');
      this.schedule(RETRY_MS);
      return;
    }
    this.finish();
  }

  /** Whether more is to be done. */
  private writeSome(): boolean {
    const { kernel } = this.parts;
    this.read();
    if (this.isStale) this.setFacts();
    const changes = this.sync.take(PREFIXES_AT_ONCE);
    if (changes.length > 0) {
      const refusals = kernel.applyEach(changes);
      this.sync.done(changes, refusals);
      this.written += changes.length - refusals.length;
    }
    return !this.sync.isSettled;
  }

  private read(): void {
    if (this.hasRead) return;
    const present = this.parts.kernel.routes();
    const { writer = SPEAKER } = this.parts;
    this.foundOurs = present.some(({ protocol }) => protocol === writer.protocol);
    this.sync.begin(present);
    this.hasRead = true;
    this.pace.end(this.parts.clock.now());
    this.scheduleAudit(AUDIT_MS);
  }

  // Asked for each pod's link that comes or goes.
  private concerns(link: string): boolean {
    return TUNNELS.has(link) || isIgnored(this.ignoredInterfaces, link);
  }

  private setFacts(): void {
    const { own, pools, addresses, vteps, statics = new Map(), ...more } = this.parts.demand();
    const tunnel = this.parts.kernel.link(TUNNEL_DEVICES.ipip);
    this.ignoredInterfaces = more.ignoredInterfaces ?? [];
    this.isStale = false;
    this.sync.setFacts({
      pools,
      statics,
      blackholes: new Set(own.blackholes),
      held: own.held,
      subnets: addresses.map((address) => cidrOf(address.ip, address.prefixLength)),
      tunnelLink: tunnel?.up ? tunnel.index : undefined,
      overlay: vteps && { vteps, links: this.overlayLinks() },
      ignoredLinks: ignoredLinks(this.ignoredInterfaces, this.parts.kernel),
    });
  }

  private overlayLinks(): ReadonlyMap<Family, number> {
    const links = new Map<Family, number>();
    for (const [family, name] of OVERLAY) {
      const link = this.parts.kernel.link(name);
      if (link?.up) links.set(family, link.index);
    }
    return links;
  }

  private finish(): void {
    const { log, clock } = this.parts;
    if (this.written > 0) {
      log.info({ changes: this.written }, 'routes written');
      this.repairedAt = clock.now();
    }
    this.written = 0;
    if (this.sync.takeOtherWays()) this.parts.otherWays?.();
    this.parts.settled?.();
    const problems = this.sync.problems;
    const named = problems.join('\n');
    if (named !== this.named && problems.length > 0)
      log.warn(
        { count: problems.length, problems: problems.slice(0, PROBLEMS_LOGGED_MAX) },
        'routes are missing',
      );
    this.named = named;
    if (this.sync.needsAudit) this.scheduleAudit(0);
    if (this.sync.hasRefusals)
      this.retryTimer ??= setTimeout(() => {
        this.retryTimer = undefined;
        this.sync.retry();
        this.schedule(0);
      }, RETRY_MS);
  }

  private scheduleAudit(delayMs: Milliseconds): void {
    if (this.audit || this.stopping.signal.aborted) return;
    const now = this.parts.clock.now();
    const at = Math.max(now + delayMs, this.pace.earliest);
    if (at >= this.auditDue) return;
    this.auditDue = at;
    clearTimeout(this.auditTimer);
    this.auditTimer = setTimeout(() => this.beginAudit(), at - now);
  }

  private beginAudit(): void {
    this.auditDue = Number.POSITIVE_INFINITY;
    this.pace.begin(this.parts.clock.now());
    this.sync.beginAudit();
    this.audit = this.parts.kernel.routeParts()[Symbol.iterator]();
    this.auditSome();
  }

  private auditSome(): void {
    if (this.stopping.signal.aborted || !this.audit) return;
    try {
      const { done, value } = this.audit.next();
      if (!done) {
        this.sync.auditPart(value);
        setImmediate(() => this.auditSome());
        return;
      }
      this.sync.endAudit();
    } catch (cause) {
      this.parts.log.warn({ cause: messageOf(cause) }, 'the routes cannot be read');
    }
    this.audit = undefined;
    this.pace.end(this.parts.clock.now());
    this.scheduleAudit(this.sync.needsAudit ? 0 : AUDIT_MS);
    if (!this.sync.isSettled) this.schedule(0);
  }
}
