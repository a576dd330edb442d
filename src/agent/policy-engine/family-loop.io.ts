// Keeps one address family's tables and sets equal to what is calculated. Everything that arrives
// while the kernel is being written waits for the next round together. A refusal reads the kernel
// back and tries again; foreign changes are found by reading back in turn and repaired. When it
// cannot write, what stands in the kernel goes on to hold: unknown interfaces drop.
import type { Log } from '../../base/log.io.ts';
import { messageOf, OpError } from '../../base/op-error.ts';
import { afterSlice, inSlices, pause } from '../../base/pause.io.ts';
import type { IpSets, Tables } from '../../kernel/tables.ts';
import type { Family } from '../../net/ip.ts';
import type { FamilyCalculator } from '../../policy/family-calculator.ts';
import { PolicyWriter, type TableSize } from '../../policy/write/writer.io.ts';
import { CheckRotation, DueReadings } from './check-rotation.ts';
import type { Guarding } from './guarding.io.ts';
import { Marking } from './marking.io.ts';
import { withPatience } from './patience.io.ts';
import type { RoundObserver } from './round-observer.ts';

export interface FamilyLoopOptions {
  readonly family: Family;
  readonly calculator: FamilyCalculator;
  readonly tables: Tables;
  /** Shared by both families: their sets have names of their own. */
  readonly ipSets: IpSets;
  readonly log: Log;
  readonly checkMilliseconds: number;
  readonly settleMilliseconds: number;
  /** A round that takes longer is told as a problem while it goes on. */
  readonly patienceMilliseconds: number;
  readonly onWritten: () => void;
  readonly guarding?: Guarding | undefined;
  readonly observer?: RoundObserver | undefined;
}

/** Steady changes may put the removal of surplus rules off for so long. */
const SETTLE_MILLISECONDS_MAX = 5_000;
/** At each commit nftables walks the whole table: so many left-over endpoints are dearer than their removal. */
const SURPLUS_MAX = 32;
/** What cannot pause has a turn of its own, unless all of this one is so short. */
const SHARED_MILLISECONDS = 1;
const RETRY_MILLISECONDS = { first: 100, max: 10_000 };

type Reason = 'change' | 'check' | 'settle';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (cause: OpError) => void;
}

export class FamilyLoop {
  private readonly options: FamilyLoopOptions;
  private readonly writer: PolicyWriter;
  private readonly marking: Marking;
  private readonly first = Promise.withResolvers<void>();
  private readonly tried = Promise.withResolvers<void>();
  private readonly waiters = new Set<Waiter>();
  private readonly stop = new AbortController();
  private readonly checks: NodeJS.Timeout;
  private readonly rotation = new CheckRotation();
  /** What had to wait for a round under way or for quiet. */
  private readonly readings = new DueReadings();
  /** Resolves when the kernel may be written; undefined: it may. */
  private held: PromiseWithResolvers<void> | undefined = Promise.withResolvers();
  private dirty = false;
  private writing = false;
  /** When the oldest change came that is not written yet. */
  private changedAt: number | undefined;
  private next: Reason = 'change';
  private running: Promise<void> | undefined;
  private settling: NodeJS.Timeout | undefined;
  private unsettledSince: number | undefined;
  /** Everything has been written at least once. */
  written = false;
  /** Why the kernel does not hold what it should. */
  problem: string | undefined;
  counts = { chains: 0, ipSets: 0 };

  constructor(options: FamilyLoopOptions) {
    this.options = options;
    const { tables, ipSets, family, checkMilliseconds, calculator, log } = options;
    this.marking = new Marking(calculator, log);
    this.writer = new PolicyWriter(tables, ipSets, family);
    this.checks = setInterval(() => this.check(), checkMilliseconds);
    this.checks.unref();
    this.first.promise.catch(() => undefined);
  }

  /** The datastore's state is known whole: from now on the kernel is written. */
  begin(): void {
    this.held?.resolve();
    this.held = undefined;
    this.wake();
  }

  /** Until the next `begin` it is not: what is known is half old and half new. */
  hold(): void {
    this.held ??= Promise.withResolvers();
  }

  /** Whether a round is under way or has to come. */
  isBehind = (): boolean => this.dirty || this.writing || this.held !== undefined;

  /** Resolves once everything has been written for the first time. */
  inSync(): Promise<void> {
    return this.first.promise;
  }

  /** Resolves once that has succeeded or failed. */
  wasTried = (): Promise<void> => this.tried.promise;

  /** Resolves when what is calculated now is in the kernel; rejects with OpError after the time. */
  write(what: string, milliseconds: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { resolve, reject };
    const timer = setTimeout(() => {
      this.waiters.delete(waiter);
      const why = this.problem ?? 'the rules were not written in time';
      reject(new OpError(`program policy of ${what}`, why));
    }, milliseconds);
    this.waiters.add(waiter);
    this.wake();
    return promise.finally(() => clearTimeout(timer));
  }

  async close(): Promise<void> {
    clearInterval(this.checks);
    clearTimeout(this.settling);
    this.stop.abort();
    this.held?.resolve();
    await this.running;
    const gone = new OpError('policy engine', 'the agent stops');
    for (const waiter of this.waiters) waiter.reject(gone);
    this.waiters.clear();
    if (!this.written) this.first.reject(gone);
    this.tried.resolve();
  }

  private check(): void {
    if (!this.written) return;
    const due = this.rotation.due(this.options.tables.generation?.());
    this.readings.add(due);
    if (this.readings.isAny && !this.running && !this.settling) this.look();
    else if (due.withSizes && !this.running) void this.compareSizes();
  }

  private async compareSizes(): Promise<void> {
    const startedAt = performance.now();
    const same = await this.writer.setsAreAsLarge().catch(() => undefined);
    this.rotation.sizesTook((performance.now() - startedAt) / this.options.checkMilliseconds);
    if (same !== false || this.running || this.stop.signal.aborted) return;
    this.readings.add({ tables: [], withSets: true });
    if (!this.settling) this.look();
  }

  private look(): void {
    this.readings.begin(this.writer);
    this.wake('check');
  }

  wake(reason: Reason = 'change'): void {
    this.dirty = true;
    if (reason === 'change') this.changedAt ??= performance.now();
    if (reason !== 'change') this.next = reason; // also for the round after the one under way
    if (this.held || this.running || this.stop.signal.aborted) return;
    this.running = this.run();
  }

  private async run(): Promise<void> {
    let retryMilliseconds = RETRY_MILLISECONDS.first;
    while (this.dirty && !this.stop.signal.aborted) {
      await this.held?.promise;
      this.dirty = false;
      const why = this.next;
      this.next = 'change';
      const waiting = [...this.waiters];
      try {
        const commits = await this.observed(why);
        if (why === 'check' && commits > 0)
          this.options.log.warn('rules or sets of ours were changed by others; repaired');
        retryMilliseconds = RETRY_MILLISECONDS.first;
        this.resolve(waiting);
        if (why !== 'change') await this.writer.destroyUnused();
        // Steady changes leave no time without a round or a settling: the whole is the time to look.
        if (this.readings.isAny && (why !== 'change' || !this.settling)) this.look();
      } catch (cause) {
        this.failed(why, cause);
        await pause(retryMilliseconds, this.stop.signal);
        retryMilliseconds = Math.min(2 * retryMilliseconds, RETRY_MILLISECONDS.max);
      }
    }
    // In the same turn as the loop's last look at `dirty`, so that no wake is lost.
    this.running = undefined;
  }

  private failed(why: Reason, cause: unknown): void {
    const { log, family } = this.options;
    this.problem = messageOf(cause);
    this.tried.resolve();
    log.error({ cause: this.problem, family }, 'policy not written; trying again');
    this.dirty = true;
    // Additions count from the last answer, not from what was written: the whole goes again.
    this.next = why === 'change' ? 'settle' : why;
  }

  private async observed(why: Reason): Promise<number> {
    const { observer, family, checkMilliseconds } = this.options;
    const changedAt = this.changedAt;
    const startedAt = performance.now();
    this.changedAt = undefined;
    try {
      const commits = await this.round(why);
      const now = performance.now();
      observer?.applied(family, now - startedAt, commits);
      if (this.readings.endsSets()) this.rotation.setsTook((now - startedAt) / checkMilliseconds);
      if (changedAt !== undefined && commits > 0) observer?.programmed(family, now - changedAt);
      return commits;
    } catch (cause) {
      this.changedAt = changedAt ?? this.changedAt;
      observer?.failed(family);
      throw cause;
    }
  }

  sizes = (): readonly TableSize[] => this.writer.sizes();

  private resolve(waiting: readonly Waiter[]): void {
    for (const waiter of waiting) {
      this.waiters.delete(waiter);
      waiter.resolve();
    }
  }

  private async round(why: Reason): Promise<number> {
    const { settleMilliseconds, onWritten } = this.options;
    this.writing = true; // when it fails there is another to come
    if (!this.written) this.rotation.began(this.options.tables.generation?.());
    const quick = why === 'change' && this.written && settleMilliseconds > 0;
    const commits = await this.watched(async () => {
      const added = quick ? await this.add() : undefined;
      return added ?? (await this.whole(why));
    });
    if (quick) this.settleAfter(settleMilliseconds);
    this.problem = undefined;
    this.writing = false;
    this.written = true;
    this.first.resolve();
    this.tried.resolve();
    onWritten();
    return commits;
  }

  // A restore command that hangs, or waits for a lock that others hold, is ended by its own, longer
  // limit; until then nobody shall believe that what they asked for is there.
  private watched<T>(work: () => Promise<T>): Promise<T> {
    const { log, family, patienceMilliseconds } = this.options;
    const onLong = (): void => {
      this.problem = `the kernel has not taken the rules for ${patienceMilliseconds} ms`;
      log.warn({ family }, this.problem);
    };
    return withPatience(patienceMilliseconds, onLong, work);
  }

  /** Undefined: it takes more than additions. */
  private async add(): Promise<number | undefined> {
    const additions = this.options.calculator.additions();
    return additions && (await this.writer.add(additions));
  }

  private async whole(why: Reason): Promise<number> {
    const { calculator, guarding } = this.options;
    await inSlices(calculator.prepare());
    await afterSlice(SHARED_MILLISECONDS);
    await this.held?.promise;
    this.marking.begin();
    const desired = calculator.desired();
    await afterSlice(SHARED_MILLISECONDS);
    const write = () => this.marking.write(desired, this.writer);
    const around = guarding?.around(calculator.facts.rules, why === 'check', write);
    const commits = await (around ?? write());
    this.counts = { chains: this.writer.chainCount(), ipSets: desired.ipSets.size };
    return commits;
  }

  // Each change puts it off, to a limit; a round that is whole anyway makes it needless.
  private settleAfter(milliseconds: number): void {
    clearTimeout(this.settling);
    this.settling = undefined;
    this.unsettledSince ??= performance.now();
    const patience = this.options.calculator.surplus < SURPLUS_MAX ? SETTLE_MILLISECONDS_MAX : 0;
    const left = this.unsettledSince + patience - performance.now();
    if (left > 0) this.settling = setTimeout(() => this.settle(), Math.min(milliseconds, left));
    else this.settle(); // a timer of no time would be put off by the next change
  }

  private settle(): void {
    this.settling = undefined;
    this.unsettledSince = undefined;
    this.wake('settle');
  }
}
