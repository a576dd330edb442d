// The host's routes to this node's pods, which ADD has made: within a second they are there again when somebody
// else deletes or changes them, or sets a pod's link down and up. The whole table is read at the start, every
// 90 seconds and after an overrun.
import type { Milliseconds } from '../../base/clock.ts';
import { messageOf } from '../../base/op-error.ts';
import { hostRoute } from '../../cni/plan.ts';
import type { KernelEvent, LinkChange, Route } from '../../kernel/kernel.ts';
import { type Cidr, cidrFamily, networkOf, parseCidr, prefixLengthOf } from '../../net/cidr.ts';
import { bitsOf } from '../../net/ip.ts';
import { type Heard, Mirror } from '../../routes/mirror.ts';
import { planPrefix } from '../../routes/plan.ts';
import type { CniContext } from '../cni/context.ts';

/** Changes that come together are looked at together; who keeps changing routes is answered no more often. */
const SETTLE_MS = 200;
const AUDIT_MS = 90_000;
const RETRY_MS = 1000;
const LOGGED_MAX = 10;
/** The kernel gives an IPv6 route without a metric this one. */
const IPV6_METRIC = 1024;

type Context = Pick<CniContext, 'kernel' | 'view' | 'removal' | 'turns' | 'log'>;

interface Holder {
  readonly interfaceName: string;
  readonly containerId: string;
}

export class PodRoutes {
  private readonly context: Context;
  private readonly signal: AbortSignal;
  private readonly settleMs: Milliseconds;
  /** Routes to single addresses, ours and others'. */
  private readonly mirror = new Mirror();
  private readonly dirty = new Set<Cidr>();
  /** Links that came up: the routes over them may have gone without a word. */
  private readonly risen = new Set<string>();
  private readonly timers = new Map<'look' | 'audit', NodeJS.Timeout>();
  private audit: Iterator<readonly Route[]> | undefined;

  constructor(context: Context, signal: AbortSignal, settleMs = SETTLE_MS) {
    this.context = context;
    this.signal = signal;
    this.settleMs = settleMs;
    context.kernel.subscribe((event) => this.heard(event), signal);
    signal.addEventListener('abort', () => this.close(), { once: true });
    this.beginAudit();
  }

  private close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.audit?.return?.();
    this.audit = undefined;
  }

  private heard(event: KernelEvent): void {
    if (event.kind === 'lost') this.after('audit', 0);
    if (event.kind === 'route' && isSingle(event.route.destination))
      this.takeIn(event.gone ? this.mirror.remove(event.route) : this.mirror.put(event.route));
    if (event.kind !== 'link') return;
    const { index, name, up } = event.link;
    if (event.gone || !up) this.takeIn(this.mirror.dropLink(index));
    else {
      this.risen.add(name);
      this.after('look', this.settleMs);
    }
  }

  private takeIn({ changed }: Heard): void {
    for (const prefix of changed) this.dirty.add(prefix);
    if (changed.length > 0) this.after('look', this.settleMs);
  }

  private after(what: 'look' | 'audit', delayMs: Milliseconds): void {
    if (this.signal.aborted || (what === 'look' && this.timers.has(what))) return;
    clearTimeout(this.timers.get(what));
    const run = (): void => {
      this.timers.delete(what);
      if (what === 'look') this.look();
      else this.beginAudit();
    };
    this.timers.set(what, setTimeout(run, delayMs));
  }

  private look(): void {
    const { kernel, log } = this.context;
    const changes: LinkChange[] = [];
    const holders = this.holders();
    for (const [prefix, { interfaceName }] of holders)
      if (this.risen.has(interfaceName)) this.dirty.add(prefix);
    this.risen.clear();
    const looked = [...this.dirty];
    this.dirty.clear();
    try {
      for (const prefix of looked) {
        const holder = holders.get(prefix);
        if (holder) changes.push(...this.repair(prefix, holder));
      }
      if (changes.length === 0) return;
      const refused = kernel.applyEach(changes);
      const prefixes = changes.flatMap((one) => ('route' in one ? one.route.destination : []));
      const routes = [...new Set(prefixes)].slice(0, LOGGED_MAX);
      const problem = refused[0]?.error.message;
      log.warn({ routes, changes: changes.length, problem }, 'routes to pods are put back');
      for (const { index } of refused) this.dirty.add(prefixes[index]!);
      if (refused.length > 0) this.after('look', RETRY_MS);
    } catch (cause) {
      log.warn({ cause: messageOf(cause) }, 'routes to pods cannot be read or written');
      for (const prefix of looked) this.dirty.add(prefix);
      this.after('look', RETRY_MS);
    }
  }

  /** Addresses of this node's pods. */
  private holders(): ReadonlyMap<Cidr, Holder> {
    const holders = new Map<Cidr, Holder>();
    for (const { endpoint } of this.context.view.endpoints) {
      const { interfaceName, containerID: containerId, ipNetworks = [] } = endpoint.spec;
      if (!interfaceName || containerId === undefined) continue;
      for (const text of ipNetworks) {
        const prefix = parseCidr(text);
        if (prefix && isSingle(prefix)) holders.set(prefix, { interfaceName, containerId });
      }
    }
    return holders;
  }

  private repair(prefix: Cidr, { interfaceName, containerId }: Holder): readonly LinkChange[] {
    const { kernel, removal, turns } = this.context;
    // DEL takes the route first, ADD makes it last, and a newer container may have the link by now.
    if (turns.has({ containerId, ipamOnly: false })) {
      this.dirty.add(prefix);
      this.after('look', this.settleMs);
      return [];
    }
    if (removal.isDoomed(interfaceName) || !removal.mayBelongTo(interfaceName, containerId))
      return [];
    const metric = cidrFamily(prefix) === 6 ? IPV6_METRIC : 0;
    const ours = this.mirror.at(prefix).filter((route) => route.metric === metric);
    const changesFor = (index: number): readonly LinkChange[] => {
      const want: Route = { ...hostRoute(index, networkOf(prefix)), metric };
      return planPrefix({ want, ours, foreign: [], mayRemove: () => true }).changes;
    };
    // After every ADD all is well, and the kernel need not be asked.
    const made = removal.madeFor(interfaceName, containerId);
    if (made && changesFor(made.index).length === 0) return [];
    const link = kernel.link(interfaceName);
    return link?.up ? changesFor(link.index) : [];
  }

  private beginAudit(): void {
    if (this.audit || this.signal.aborted) return;
    this.mirror.beginAudit();
    this.audit = this.context.kernel.routeParts()[Symbol.iterator]();
    this.auditSome();
  }

  private auditSome(): void {
    if (!this.audit) return;
    try {
      const { done, value } = this.audit.next();
      if (!done) {
        this.takeIn(this.mirror.auditPart(value.filter((route) => isSingle(route.destination))));
        setImmediate(() => this.auditSome());
        return;
      }
      this.takeIn(this.mirror.endAudit());
      // What was missing from the beginning has made nothing change.
      for (const prefix of this.holders().keys()) this.dirty.add(prefix);
      this.after('look', 0);
    } catch (cause) {
      this.context.log.warn({ cause: messageOf(cause) }, 'routes to pods cannot be read');
    }
    this.audit = undefined;
    this.after('audit', AUDIT_MS);
  }
}

const isSingle = (prefix: Cidr): boolean => prefixLengthOf(prefix) === bitsOf(cidrFamily(prefix));
