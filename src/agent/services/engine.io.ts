// The live service proxy of a node: follows Services, EndpointSlices and its own Node, and keeps the
// KUBE-* chains equal to what follows from them. Nothing is written before all lists are complete.
// The first change is written at once; those that come meanwhile or soon after go together.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import { pause } from '../../base/pause.io.ts';
import type { Tables } from '../../kernel/tables.ts';
import type { KubernetesApi, WholeObject } from '../../kubernetes/api.ts';
import type { Family } from '../../net/ip.ts';
import { ServiceWriter, type Written } from '../../services/write/writer.io.ts';
import { Ahead } from './ahead.io.ts';
import { type ChangedKind, type Changes, PendingChanges } from './changes.ts';
import { kubeProxyAnswers } from './live-proxy.io.ts';
import type { ServiceModel } from './model/model.ts';
import { ServiceSource } from './source.io.ts';

/** Told of each family's part in a round; times are in milliseconds. */
export interface ServiceObserver {
  synced(family: Family, round: SyncRound): void;
  failed(family: Family, isFull: boolean): void;
}

export interface SyncRound extends Written {
  /** The first, or one that read the kernel back. */
  readonly isFull: boolean;
  readonly took: number;
  /** Since the oldest change of the round came in; undefined for a look at the kernel. */
  readonly latency: number | undefined;
  readonly changes: Changes;
}

export interface ServiceEngineOptions {
  readonly node: string;
  /** Addresses of other nodes matter to the model too. */
  readonly allNodes?: boolean;
  readonly model: ServiceModel;
  readonly kubernetes: KubernetesApi;
  readonly tables: Tables;
  /** Absent on a machine without IPv6. */
  readonly ipv6Tables: Tables | undefined;
  /** Write also while a kube-proxy answers. */
  readonly takeOver: boolean;
  readonly log: Log;
  readonly observer?: ServiceObserver;
  /** After each round that succeeded. */
  readonly onWritten?: () => void;
  readonly groupMilliseconds?: number;
  readonly checkMilliseconds?: number;
  /** See AheadOptions. */
  readonly dearRules?: number;
  /** Whether a kube-proxy runs on this node; for tests. */
  readonly kubeProxyRuns?: () => Promise<boolean>;
}

/** A Service and its EndpointSlice come by two watches: what comes so soon after the first is written
 *  with it. */
const GATHER_MILLISECONDS = 1;
/** A round with more changes than this is a storm's, and so is one after which so many wait. */
const STORM_CHANGES = 10;
/** Changes of a storm that come within this time after a round's beginning are written together: as
 *  long as kube-proxy waits after each round (minSyncPeriod). */
const GROUP_MILLISECONDS = 1000;
/** Any round is followed by twice its own time of quiet. */
const QUIET_SHARE = 2;
/** Between two looks whether others have changed tables. */
const CHECK_MILLISECONDS = 250;
/** Looks between two readings where the kernel does not tell of changes. */
const LOOKS_PER_READING = 40;
/** Others who write all the time cost us so much of ours: a reading is followed by so many times its
 *  own time of rest. */
const REST_SHARE = 4;
const RETRY_MILLISECONDS = { first: 100, max: 10_000 };
const WAIT_FOR_PROXY_MILLISECONDS = 5_000;
const KUBE_PROXY_RUNS =
  'a kube-proxy runs on this node; remove it, or set serviceProxy.takeOver to write beside it until it is gone';

type Count = Pick<Changes, 'services' | 'endpoints'>;

const NO_CHANGES: Count = { services: 0, endpoints: 0 };

const isStorm = ({ services, endpoints }: Count): boolean => services + endpoints > STORM_CHANGES;

interface Round {
  readonly startedAt: number;
  readonly changes: Changes;
  readonly isFull: boolean;
}

export class ServiceEngine {
  private readonly options: ServiceEngineOptions;
  private readonly writers: ReadonlyMap<Family, ServiceWriter>;
  private readonly ahead: Ahead;
  private readonly stop = new AbortController();
  private readonly source: ServiceSource;
  private readonly first = Promise.withResolvers<void>();
  private wakeUp = Promise.withResolvers<void>();
  readonly changes = new PendingChanges(Date.now());
  private checkIsDue = false;
  private looks = 0;
  private restsUntil = 0;
  private readonly checks: NodeJS.Timeout;
  private running: Promise<void>;
  private written = false;
  /** When everything was last in sync. */
  updatedAt: Date | undefined;
  /** Why the kernel does not hold what it should. */
  private writeProblem: string | undefined;

  constructor(options: ServiceEngineOptions) {
    this.options = options;
    const { tables, ipv6Tables } = options;
    this.writers = new Map<Family, ServiceWriter>([
      [4, new ServiceWriter(tables)],
      ...(ipv6Tables ? [[6, new ServiceWriter(ipv6Tables)] as const] : []),
    ]);
    this.ahead = new Ahead(
      options,
      (family) =>
        this.sizes().find((one) => one.family === family && one.table === 'nat')?.rules ?? 0,
    );
    this.checks = setInterval(() => this.check(), options.checkMilliseconds ?? CHECK_MILLISECONDS);
    this.checks.unref();
    this.source = new ServiceSource({
      ...options,
      allNodes: options.allNodes ?? false,
      changed: (kind, objects) => this.changed(kind, objects),
      signal: this.stop.signal,
    });
    this.running = this.run();
  }

  /** Resolves once everything has been written for the first time. */
  inSync(): Promise<void> {
    return this.first.promise;
  }

  /** Why services are not served as they should be. */
  get problem(): string | undefined {
    if (this.writeProblem !== undefined) return this.writeProblem;
    if (this.source.missing !== undefined) return this.source.missing;
    return this.written ? undefined : 'rules are not written yet';
  }

  sizes() {
    return [...this.writers].flatMap(([family, writer]) =>
      writer.sizes().map((size) => ({ family, ...size })),
    );
  }

  /** Stops writing; what is in the kernel stays. */
  async close(): Promise<void> {
    clearInterval(this.checks);
    this.stop.abort();
    this.wakeUp.resolve();
    await this.running;
    this.ahead.close();
    await Promise.all([this.options.tables.close(), this.options.ipv6Tables?.close()]);
  }

  /** What the model knows of the machine has changed. */
  machineChanged(): void {
    this.changed('node', []);
  }

  private changed(kind: ChangedKind, objects: readonly WholeObject[]): void {
    this.changes.add(kind, objects, performance.now(), Date.now());
    if (!this.source.isComplete) return;
    this.wakeUp.resolve();
    this.ahead.serveSoon(GATHER_MILLISECONDS);
  }

  private check(): void {
    const look = ++this.looks;
    if (!this.written || performance.now() < this.restsUntil) return;
    const isDue = [...this.writers.values()].some(
      ({ othersWrote }) => othersWrote ?? look % LOOKS_PER_READING === 0,
    );
    if (!isDue) return;
    this.checkIsDue = true;
    this.wakeUp.resolve();
  }

  private async run(): Promise<void> {
    const { signal } = this.stop;
    let retry = RETRY_MILLISECONDS.first;
    await this.wakeUp.promise;
    while (!signal.aborted) {
      if (!this.written || this.checkIsDue) await this.waitForKubeProxy();
      if (this.written) await pause(GATHER_MILLISECONDS, signal);
      if (signal.aborted) return;
      this.wakeUp = Promise.withResolvers();
      this.ahead.serve();
      const startedAt = performance.now();
      const changes = this.changes.take();
      const isFirst = !this.written;
      try {
        await this.round(startedAt, changes);
        retry = RETRY_MILLISECONDS.first;
        await this.quiet(startedAt, isFirst ? NO_CHANGES : changes);
        await this.wakeUp.promise;
      } catch (cause) {
        this.changes.putBack(changes);
        this.failed(cause);
        await pause(retry, signal);
        retry = Math.min(2 * retry, RETRY_MILLISECONDS.max);
      }
    }
  }

  private async quiet(startedAt: number, changes: Count): Promise<void> {
    const { groupMilliseconds: group = GROUP_MILLISECONDS } = this.options;
    const { signal } = this.stop;
    const sinceThen = (): number => performance.now() - startedAt;
    await pause(Math.min(QUIET_SHARE * sinceThen(), group), signal);
    if (isStorm(changes) || isStorm(this.changes.pending))
      await pause(Math.max(group - sinceThen(), 0), signal);
  }

  private async waitForKubeProxy(): Promise<void> {
    const { takeOver, log, kubeProxyRuns = kubeProxyAnswers } = this.options;
    while (!takeOver && !this.stop.signal.aborted && (await kubeProxyRuns())) {
      if (this.writeProblem === undefined) log.error(KUBE_PROXY_RUNS);
      this.writeProblem = KUBE_PROXY_RUNS;
      await pause(WAIT_FOR_PROXY_MILLISECONDS, this.stop.signal);
    }
  }

  private async round(startedAt: number, changes: Changes): Promise<void> {
    const { checkIsDue } = this;
    const { log, onWritten } = this.options;
    this.checkIsDue = false;
    if (checkIsDue) for (const writer of this.writers.values()) writer.doubt();
    const isFull = !this.written || checkIsDue;
    const done = await Promise.allSettled(
      [...this.writers].map(([family, writer]) =>
        this.sync(family, writer, { startedAt, changes, isFull }),
      ),
    );
    const refusal = done.find((one) => one.status === 'rejected');
    if (refusal) throw refusal.reason;
    const repaired = done.some((one) => one.status === 'fulfilled' && one.value.commits > 0);
    if (checkIsDue) this.rest(performance.now() - startedAt);
    if (checkIsDue && changes.since === undefined && repaired)
      log.warn('rules of services were changed by others; repaired');
    this.written = true;
    this.updatedAt = new Date();
    this.lookForKubeProxy();
    this.first.resolve();
    onWritten?.();
  }

  private async sync(
    family: Family,
    writer: ServiceWriter,
    { startedAt, changes, isFull }: Round,
  ): Promise<Written> {
    const { model, observer } = this.options;
    try {
      const then = this.ahead.now(family);
      const written = await writer.apply(model.wanted(family));
      this.ahead.written(family, then);
      const now = performance.now();
      const latency = changes.since === undefined ? undefined : now - changes.since;
      observer?.synced(family, { ...written, took: now - startedAt, latency, isFull, changes });
      return written;
    } catch (cause) {
      observer?.failed(family, isFull);
      throw cause;
    }
  }

  private rest(took: number): void {
    this.restsUntil = performance.now() + REST_SHARE * took;
  }

  private lookForKubeProxy(): void {
    const { takeOver, log } = this.options;
    const back = !takeOver && [...this.writers.values()].some((one) => one.canaryCameBack);
    if (back && this.writeProblem === undefined) log.error(KUBE_PROXY_RUNS);
    this.writeProblem = back ? KUBE_PROXY_RUNS : undefined;
  }

  private failed(cause: unknown): void {
    this.writeProblem = messageOf(cause);
    this.options.log.error({ cause: this.writeProblem }, 'services not written; trying again');
  }
}
