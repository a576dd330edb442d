// The live policy engine of a node: takes in the datastore's changes, computes, and keeps the
// kernel equal to the result. Everything that arrives while the kernel is being written waits for
// the next round together. Nothing is written before the first snapshot; a refusal reads the
// kernel back and tries again; foreign changes are found by reading back in turn and repaired.
// When it cannot write, what stands in the kernel goes on to hold: unknown interfaces drop.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { messageOf, OpError } from '../base/op-error.ts';
import { pause } from '../base/pause.io.ts';
import type { Change, KeyValue } from '../datastore/store.ts';
import type { IpSets, TableName, Tables } from '../kernel/tables.ts';
import type { Ip } from '../net/ip.ts';
import { PolicyCalculator } from '../policy/calculate.ts';
import { PolicyFeed } from '../policy/feed.ts';
import type { PolicySettings } from '../policy/render/static-chains.ts';
import { PolicyWriter } from '../policy/write/writer.io.ts';

export { cleanUp } from '../policy/write/writer.io.ts';

export interface PolicyEngine {
  /** The datastore's whole state: what is absent is gone, except endpoints put directly. */
  snapshot(items: readonly KeyValue[]): void;
  changes(changes: readonly Change[]): void;
  /**
   * CNI ADD: the endpoint as it was just written. Resolves when its chains and its place in the
   * dispatch are in the kernel; rejects with OpError when they are not in time (default 5 s).
   */
  putEndpoint(key: string, value: string, revision?: bigint, milliseconds?: number): Promise<void>;
  removeEndpoint(key: string): void;
  /** Resolves once everything has been written for the first time. */
  inSync(): Promise<void>;
  state(): PolicyState;
  /** Stops writing; what is in the kernel stays. */
  close(): Promise<void>;
}

export interface PolicyState {
  readonly ready: boolean;
  /** Why the kernel does not hold what it should. */
  readonly problem?: string;
  readonly chains: number;
  readonly ipSets: number;
}

export interface PolicyEngineOptions {
  readonly node: string;
  readonly tables: Tables;
  readonly ipSets: IpSets;
  readonly settings: PolicySettings;
  readonly nodeAddress: () => Ip | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** Between two looks at the kernel; default 5 s. */
  readonly checkMilliseconds?: number;
  /**
   * Changes are first written without deleting anything (see policy/write/additions.ts) and made whole
   * after this time of quiet; 0, the default: at once whole.
   */
  readonly settleMilliseconds?: number;
  /** How long putEndpoint waits; default 5 s. */
  readonly putTimeoutMilliseconds?: number;
}

/** Tables read back in turn; the one that people flush most comes every second time. */
const CHECKS: readonly TableName[] = ['filter', 'nat', 'filter', 'raw', 'filter', 'mangle'];
const CHECK_MILLISECONDS = 5_000;
/** Ip sets are read back every so many checks. */
const CHECKS_PER_SET_CHECK = 18;
const PUT_TIMEOUT_MILLISECONDS = 5_000;
/** Steady changes may put the removal of surplus rules off for so long. */
const SETTLE_MILLISECONDS_MAX = 10_000;
/** So many left-over endpoints make every commit dearer than their removal is. */
const SURPLUS_MAX = 64;
const RETRY_MILLISECONDS = { first: 100, max: 10_000 };

export function openPolicyEngine(options: PolicyEngineOptions): PolicyEngine {
  return new Engine(options);
}

type Reason = 'change' | 'check' | 'settle';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: OpError) => void;
}

class Engine implements PolicyEngine {
  private readonly options: PolicyEngineOptions;
  private readonly calculator: PolicyCalculator;
  private readonly feed: PolicyFeed;
  private readonly writer: PolicyWriter;
  private readonly first = Promise.withResolvers<void>();
  private readonly waiters = new Set<Waiter>();
  private readonly stop = new AbortController();
  private readonly checks: NodeJS.Timeout;
  private checkCount = 0;
  /** Looks at the kernel that had to wait for a round under way or for quiet. */
  private checksDue = 0;
  private begun = false;
  private dirty = false;
  /** What the next round is for. */
  private next: Reason = 'change';
  private written = false;
  private running: Promise<void> | undefined;
  private problem: string | undefined;
  private counts = { chains: 0, ipSets: 0 };
  private reported = '';
  private settling: NodeJS.Timeout | undefined;
  private unsettledSince: number | undefined;
  /** Endpoints that went since the last whole. */
  private surplus = 0;

  constructor(options: PolicyEngineOptions) {
    this.options = options;
    const { node, settings, nodeAddress, checkMilliseconds = CHECK_MILLISECONDS } = options;
    this.calculator = new PolicyCalculator({ node, family: 4, settings, nodeAddress });
    this.feed = new PolicyFeed(this.calculator, node);
    this.writer = new PolicyWriter(options.tables, options.ipSets);
    this.checks = setInterval(() => this.check(), checkMilliseconds);
    this.checks.unref();
    this.first.promise.catch(() => undefined);
  }

  snapshot(items: readonly KeyValue[]): void {
    this.feed.snapshot(items);
    this.begun = true;
    this.wake();
  }

  changes(changes: readonly Change[]): void {
    if (this.feed.changes(changes)) this.wake();
  }

  putEndpoint(key: string, value: string, revision = 0n, milliseconds?: number): Promise<void> {
    this.feed.putEndpoint(key, value, revision);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { resolve, reject };
    const { putTimeoutMilliseconds = PUT_TIMEOUT_MILLISECONDS } = this.options;
    const limit = milliseconds ?? putTimeoutMilliseconds;
    const timer = setTimeout(() => {
      this.waiters.delete(waiter);
      const why = this.problem ?? 'the rules were not written in time';
      reject(new OpError(`program policy of ${key}`, why));
    }, limit);
    this.waiters.add(waiter);
    this.wake();
    const done = promise.finally(() => clearTimeout(timer));
    // A caller that has failed meanwhile does not look at it any more.
    done.catch(() => undefined);
    return done;
  }

  removeEndpoint(key: string): void {
    if (!this.feed.removeEndpoint(key)) return;
    this.surplus++;
    this.wake();
  }

  inSync(): Promise<void> {
    return this.first.promise;
  }

  state(): PolicyState {
    const { problem } = this;
    return {
      ready: this.written && problem === undefined,
      ...(problem === undefined ? {} : { problem }),
      ...this.counts,
    };
  }

  async close(): Promise<void> {
    clearInterval(this.checks);
    clearTimeout(this.settling);
    this.stop.abort();
    await this.running;
    const gone = new OpError('policy engine', 'the agent stops');
    for (const waiter of this.waiters) waiter.reject(gone);
    this.waiters.clear();
    if (!this.written) this.first.reject(gone);
  }

  private check(): void {
    if (!this.written) return;
    this.checksDue = Math.min(this.checksDue + 1, CHECKS.length);
    if (!this.running && !this.settling) this.look();
  }

  private look(): void {
    for (; this.checksDue > 0; this.checksDue--) {
      this.writer.doubtTable(CHECKS[this.checkCount % CHECKS.length]!);
      if (++this.checkCount % CHECKS_PER_SET_CHECK === 0) this.writer.doubtSets();
    }
    this.wake('check');
  }

  private wake(reason: Reason = 'change'): void {
    this.dirty = true;
    if (reason !== 'change') this.next = reason; // also for the round after the one under way
    if (!this.begun || this.running || this.stop.signal.aborted) return;
    this.running = this.run();
  }

  private async run(): Promise<void> {
    let retryMilliseconds = RETRY_MILLISECONDS.first;
    while (this.dirty && !this.stop.signal.aborted) {
      this.dirty = false;
      const why = this.next;
      this.next = 'change';
      const waiting = [...this.waiters];
      try {
        const commits = await this.round(why);
        if (why === 'check' && commits > 0)
          this.options.log.warn('rules or sets of ours were changed by others; repaired');
        retryMilliseconds = RETRY_MILLISECONDS.first;
        this.resolve(waiting);
        if (why !== 'change') await this.writer.destroyUnused();
        // Steady changes leave no time without a round or a settling: the whole is the time to look.
        if (this.checksDue > 0 && (why !== 'change' || !this.settling)) this.look();
      } catch (cause) {
        this.problem = messageOf(cause);
        this.options.log.error({ cause: this.problem }, 'policy not written; trying again');
        this.dirty = true;
        // Additions count from the last answer, not from what was written: the whole goes again.
        this.next = why === 'change' ? 'settle' : why;
        await pause(retryMilliseconds, this.stop.signal);
        retryMilliseconds = Math.min(2 * retryMilliseconds, RETRY_MILLISECONDS.max);
      }
    }
    // In the same turn as the loop's last look at `dirty`, so that no wake is lost.
    this.running = undefined;
  }

  private resolve(waiting: readonly Waiter[]): void {
    for (const waiter of waiting) {
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  private async round(why: Reason): Promise<number> {
    const { settleMilliseconds = 0 } = this.options;
    const quick = why === 'change' && this.written && settleMilliseconds > 0;
    const added = quick ? await this.add() : undefined;
    const commits = added ?? (await this.whole());
    if (quick) this.settleAfter(settleMilliseconds);
    this.problem = undefined;
    this.written = true;
    this.first.resolve();
    this.report();
    return commits;
  }

  /** Undefined: it takes more than additions. */
  private async add(): Promise<number | undefined> {
    const additions = this.calculator.additions();
    return additions && (await this.writer.add(additions));
  }

  private async whole(): Promise<number> {
    const desired = this.calculator.desired();
    this.surplus = 0;
    const commits = await this.writer.apply(desired);
    this.counts = { chains: this.writer.chainCount(), ipSets: desired.ipSets.size };
    return commits;
  }

  // Each change puts it off, to a limit; a round that is whole anyway makes it needless.
  private settleAfter(milliseconds: number): void {
    clearTimeout(this.settling);
    this.settling = undefined;
    this.unsettledSince ??= performance.now();
    const patience = this.surplus < SURPLUS_MAX ? SETTLE_MILLISECONDS_MAX : 0;
    const left = this.unsettledSince + patience - performance.now();
    if (left > 0) this.settling = setTimeout(() => this.settle(), Math.min(milliseconds, left));
    else this.settle(); // a timer of no time would be put off by the next change
  }

  private settle(): void {
    this.settling = undefined;
    this.unsettledSince = undefined;
    this.wake('settle');
  }

  private report(): void {
    const problems = this.calculator.problems();
    const text = problems.join('\n');
    if (text !== this.reported && problems.length > 0)
      this.options.log.warn({ problems }, 'policies that could not be read are closed');
    this.reported = text;
  }
}
