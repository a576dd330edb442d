// The live policy engine of a node: takes in the datastore's changes and keeps the kernel equal to
// what follows from them, one loop for each address family (policy-engine/family-loop.io.ts). Nothing
// is written before the first snapshot. A pod without an IPv6 address costs the second loop nothing.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import { freshTurn, inSlices, nextTurn } from '../base/pause.io.ts';
import type { Change, KeyValue } from '../datastore/store.ts';
import type { Guard } from '../kernel/nftables/guard.io.ts';
import type { IpSets, Tables } from '../kernel/tables.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { InterfaceAddresses } from '../policy/active/host-endpoints.ts';
import { PolicyCalculator, type PolicyFacts } from '../policy/calculate.ts';
import type { GuardReport } from '../policy/counters/guard-report.ts';
import { PolicyFeed } from '../policy/feed.ts';
import type { PolicySettings } from '../policy/render/static-chains.ts';
import type { TableSize } from '../policy/write/writer.io.ts';
import { FamilyLoop } from './policy-engine/family-loop.io.ts';
import { Guarding } from './policy-engine/guarding.io.ts';
import type { RoundObserver } from './policy-engine/round-observer.ts';

export { cleanUp } from '../policy/write/writer.io.ts';

export interface PolicyEngine {
  /**
   * The datastore's whole state: what is absent is gone, except endpoints put directly. It is taken in
   * piece by piece; resolves when all is known. What is told meanwhile waits.
   */
  snapshot(items: readonly KeyValue[]): Promise<void>;
  changes(changes: readonly Change[]): void;
  /**
   * CNI ADD: the endpoint as it was just written. Resolves when its chains and its place in the
   * dispatch are in the kernel; rejects with OpError when they are not in time (default 5 s).
   */
  putEndpoint(key: string, value: string, revision?: bigint, milliseconds?: number): Promise<void>;
  removeEndpoint(key: string): void;
  /** Whether `setHostAddresses` matters now. */
  readonly needsHostAddresses: boolean;
  /** The host's interfaces have these addresses. */
  setHostAddresses(addresses: InterfaceAddresses): void;
  /** Resolves once everything has been written for the first time. */
  inSync(): Promise<void>;
  state(): PolicyState;
  /** The guard behind the rules; nothing where there is no place for one. */
  guards(): readonly GuardReport[];
  /** What policy is calculated from. */
  readonly facts: PolicyFacts;
  /** Whether the kernel may not hold the rules of all these facts: a round that writes them will come. */
  readonly isBehind: boolean;
  /** What the kernel holds of ours, by family and table. */
  sizes(): readonly (TableSize & { readonly family: Family })[];
  /** Stops writing; what is in the kernel stays. */
  close(): Promise<void>;
}

export interface PolicyState {
  readonly ready: boolean;
  /** Why the kernel does not hold what it should. */
  readonly problem?: string;
  /** What is wrong and stops nothing: no guard where one is asked for. */
  readonly warning?: string;
  readonly chains: number;
  readonly ipSets: number;
}

export interface PolicyEngineOptions {
  readonly node: string;
  readonly tables: Tables;
  /** Absent: the machine has no IPv6, and no endpoint may have an address of it. */
  readonly ipv6Tables?: Tables | undefined;
  readonly ipSets: IpSets;
  readonly settings: PolicySettings;
  readonly nodeAddress: () => Ip | undefined;
  /** Absent: none, and none is removed. */
  readonly guards?: Readonly<Record<Family, Guard>> | undefined;
  /** Whether they stand. */
  readonly guarded?: boolean;
  readonly log: Log;
  readonly clock: Clock;
  readonly observer?: RoundObserver;
  /** Between two looks at the kernel; default 5 s. */
  readonly checkMilliseconds?: number;
  /**
   * Changes are first written without deleting anything (see policy/write/additions.ts) and made whole
   * after this time of quiet; 0, the default: at once whole.
   */
  readonly settleMilliseconds?: number;
  /** Not ready when the kernel takes rules for longer than this; default 4 s. */
  readonly patienceMilliseconds?: number;
  /** How long putEndpoint waits; default 5 s. */
  readonly putTimeoutMilliseconds?: number;
}

const CHECK_MILLISECONDS = 500;
const PUT_TIMEOUT_MILLISECONDS = 5_000;
const PATIENCE_MILLISECONDS = 4_000;

export function openPolicyEngine(options: PolicyEngineOptions): PolicyEngine {
  return new Engine(options);
}

class Engine implements PolicyEngine {
  private readonly options: PolicyEngineOptions;
  private readonly calculator: PolicyCalculator;
  private readonly feed: PolicyFeed;
  private readonly ipv4: FamilyLoop;
  private readonly ipv6: FamilyLoop | undefined;
  private readonly guardings: Guarding[] = [];
  private reported = '';
  /** What is taken in from the datastore, as long as that lasts. */
  private taking: Promise<void> | undefined;

  constructor(options: PolicyEngineOptions) {
    this.options = options;
    const { node, settings, nodeAddress, tables, ipv6Tables } = options;
    this.calculator = new PolicyCalculator({ node, settings, nodeAddress });
    this.feed = new PolicyFeed(this.calculator, node);
    this.ipv4 = this.loop(4, tables);
    this.ipv6 = ipv6Tables && this.loop(6, ipv6Tables);
  }

  private loop(family: Family, tables: Tables): FamilyLoop {
    const { options } = this;
    const { guards, guarded = false } = options;
    const guarding = guards && new Guarding(family, guards[family], guarded, options.log);
    if (guarding) this.guardings.push(guarding);
    return new FamilyLoop({
      family,
      calculator: this.calculator.of(family),
      tables,
      ipSets: options.ipSets,
      log: options.log,
      checkMilliseconds: options.checkMilliseconds ?? CHECK_MILLISECONDS,
      settleMilliseconds: options.settleMilliseconds ?? 0,
      patienceMilliseconds: options.patienceMilliseconds ?? PATIENCE_MILLISECONDS,
      onWritten: () => this.report(),
      guarding,
      observer: options.observer,
    });
  }

  get facts(): PolicyFacts {
    return this.calculator.facts;
  }

  get isBehind(): boolean {
    return this.taking !== undefined || this.loops.some((loop) => loop.isBehind());
  }

  snapshot(items: readonly KeyValue[]): Promise<void> {
    return this.take(async () => {
      for (const loop of this.loops) loop.hold();
      await freshTurn(); // others take the same snapshot in this one
      await inSlices(this.feed.snapshot(items));
      await nextTurn(); // the first rules are long work too
      for (const loop of this.loops) loop.begin();
    });
  }

  changes(changes: readonly Change[]): void {
    if (this.taking) void this.take(async () => this.takeChanges(changes));
    else this.takeChanges(changes);
  }

  private takeChanges(changes: readonly Change[]): void {
    const startedAt = performance.now();
    const relevant = this.feed.changes(changes);
    this.options.observer?.calculated?.(performance.now() - startedAt);
    if (relevant) this.wake();
  }

  // In turn; the first one begins at once.
  private take(work: () => Promise<void>): Promise<void> {
    const done: Promise<void> = (this.taking ? this.taking.then(work) : work()).finally(() => {
      if (this.taking === done) this.taking = undefined;
    });
    this.taking = done;
    return done;
  }

  private get loops(): readonly FamilyLoop[] {
    return this.ipv6 ? [this.ipv4, this.ipv6] : [this.ipv4];
  }

  putEndpoint(key: string, value: string, revision = 0n, milliseconds?: number): Promise<void> {
    this.feed.putEndpoint(key, value, revision);
    const { putTimeoutMilliseconds = PUT_TIMEOUT_MILLISECONDS } = this.options;
    const limit = milliseconds ?? putTimeoutMilliseconds;
    const both = [this.ipv4.write(key, limit), this.writeIpv6(key, limit)];
    const done = Promise.all(both).then(() => undefined);
    // A caller that has failed meanwhile does not look at it any more.
    done.catch(() => undefined);
    return done;
  }

  private async writeIpv6(key: string, limit: number): Promise<void> {
    if (!this.calculator.hasIpv6(key)) return this.wakeIpv6();
    if (!this.ipv6) throw new OpError(`program policy of ${key}`, 'this machine has no IPv6');
    await this.ipv6.write(key, limit);
  }

  removeEndpoint(key: string): void {
    if (this.feed.removeEndpoint(key)) this.wake();
  }

  get needsHostAddresses(): boolean {
    return this.calculator.needsHostAddresses;
  }

  setHostAddresses(addresses: InterfaceAddresses): void {
    if (this.calculator.setHostAddresses(addresses)) this.wake();
  }

  private wake(): void {
    this.ipv4.wake();
    this.wakeIpv6();
  }

  private wakeIpv6(): void {
    if (this.calculator.of(6).isStale) this.ipv6?.wake();
  }

  async inSync(): Promise<void> {
    await this.ipv4.inSync();
    // Where it cannot be written, pods of IPv4 need not wait for it; state() and the log tell.
    await this.ipv6?.wasTried();
  }

  // A machine whose IPv6 tables cannot be written serves IPv4; it is not ready for IPv6's pods.
  state(): PolicyState {
    const { ipv4, ipv6 } = this;
    const loops = ipv6 && (ipv6.written || this.calculator.needsIpv6) ? [ipv4, ipv6] : [ipv4];
    const problem = loops.map((loop) => loop.problem).find((text) => text !== undefined);
    const warning = this.guardings.map((one) => one.warning).find((text) => text !== undefined);
    const sum = (of: 'chains' | 'ipSets') => ipv4.counts[of] + (ipv6?.counts[of] ?? 0);
    return {
      ready: loops.every(({ written }) => written) && problem === undefined,
      ...(problem === undefined ? {} : { problem }),
      ...(warning === undefined ? {} : { warning }),
      chains: sum('chains'),
      ipSets: sum('ipSets'),
    };
  }

  guards(): readonly GuardReport[] {
    return this.guardings.map((one) => one.report());
  }

  sizes(): readonly (TableSize & { readonly family: Family })[] {
    const of = (family: Family, loop: FamilyLoop | undefined) =>
      (loop?.sizes() ?? []).map((size) => ({ ...size, family }));
    return [...of(4, this.ipv4), ...of(6, this.ipv6)];
  }

  async close(): Promise<void> {
    await Promise.all([this.ipv4.close(), this.ipv6?.close()]);
  }

  private report(): void {
    const problems = this.calculator.problems();
    const text = problems.join('\n');
    if (text !== this.reported && problems.length > 0)
      this.options.log.warn({ problems }, 'policies that could not be read are closed');
    this.reported = text;
  }
}
