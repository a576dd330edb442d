// The way between one process and the store: every request and reply takes its own time, may be lost
// or arrive after its sender gave up; watches lag, break and begin again with a listing.
import { OpError } from '../../src/base/op-error.ts';
import type { MemoryStore } from '../../src/datastore/memory.ts';
import type {
  Change,
  Compare,
  Listing,
  Store,
  TransactionResult,
  Watcher,
  Write,
} from '../../src/datastore/store.ts';
import { type Faults, NO_FAULTS } from './plan.ts';
import type { Random } from './random.ts';
import type { Micros, Scheduler } from './scheduler.ts';

/** A transaction that took effect, told at the moment it did. */
export interface Commit {
  readonly by: Connection;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
  readonly revision: bigint;
  readonly sentAt: Micros;
}

const TIMEOUT: Micros = 2_000_000;
const SECOND: Micros = 1_000_000;
/** What a dead process sent in time arrives within this, or never. */
export const LAST_WORDS: Micros = 300_000;

/** The store and the wires to it. */
export class Network {
  faults: Faults;
  /** Nobody reaches the store until then. */
  outageUntil: Micros = 0;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly memory: MemoryStore;
  private readonly committed: (commit: Commit) => void;

  constructor(
    scheduler: Scheduler,
    random: Random,
    memory: MemoryStore,
    faults: Faults,
    committed: (commit: Commit) => void,
  ) {
    this.scheduler = scheduler;
    this.random = random;
    this.memory = memory;
    this.faults = faults;
    this.committed = committed;
  }

  /** `life` tells the processes of one node apart. */
  connect(node: string, life: number): Connection {
    return new Connection(this, node, `${node}#${life}`);
  }

  calm(): void {
    this.faults = NO_FAULTS;
    this.outageUntil = 0;
  }

  get out(): boolean {
    return this.scheduler.now < this.outageUntil;
  }

  delay(slow: number): Micros {
    if (this.random.chance(slow)) return this.random.integer(0, 200_000);
    return this.random.integer(50, 2_000);
  }

  async transact(
    by: Connection,
    compares: readonly Compare[],
    writes: readonly Write[],
    sentAt: Micros,
  ): Promise<TransactionResult> {
    const { lostCompare } = this.faults;
    const blind = lostCompare > 0 && this.random.chance(lostCompare);
    const result = await this.memory.transaction(blind ? [] : compares, writes);
    const { trace, now } = this.scheduler;
    const keys = writes.map(({ kind, key }) => `${kind === 'put' ? '' : '-'}${key.slice(13)}`);
    trace.add(`${now} ${by.name} ${result.kind} ${keys.join(' ')}`);
    if (result.kind === 'conflict') trace.counted('lost race');
    if (result.kind === 'committed') {
      this.committed({ by, compares, writes, revision: result.revision, sentAt });
    }
    return result;
  }
}

const never = <T>(): Promise<T> => new Promise<T>(() => {});

/** The store as one process sees it. */
export class Connection implements Store {
  readonly name: string;
  readonly node: string;
  /** Pools, configuration and the like, as they reached this process. */
  seen: (prefix: string, delivered: readonly Change[] | Listing) => void = () => {};
  dead = false;
  private readonly network: Network;

  constructor(network: Network, node: string, name: string) {
    this.network = network;
    this.node = node;
    this.name = name;
  }

  /** The process is gone: nothing reaches it any more. */
  die(): void {
    this.dead = true;
  }

  get = (key: string) => this.call(() => this.network.memory.get(key), `get ${key.slice(13)}`);
  list = (prefix: string) =>
    this.call(() => this.network.memory.list(prefix), `list ${prefix.slice(8)}`);
  transaction = (compares: readonly Compare[], writes: readonly Write[]) => {
    const { now } = this.network.scheduler;
    return this.call(() => this.network.transact(this, compares, writes, now), 'transaction');
  };
  close(): void {}

  private call<T>(work: () => Promise<T>, what: string): Promise<T> {
    if (this.dead) return never();
    const { scheduler, random, faults, out } = this.network;
    const fails = (why: string, after: Micros, reject: (cause: OpError) => void): void =>
      scheduler.after(after, () => {
        if (this.dead) return;
        scheduler.trace.add(`${scheduler.now} ${this.name} ${what}: ${why}`);
        scheduler.trace.counted(why);
        reject(new OpError(what, why));
      });
    return new Promise<T>((resolve, reject) => {
      if (out) return fails('unreachable', random.chance(0.5) ? 0 : TIMEOUT, reject);
      const there = this.network.delay(faults.slowRequest);
      if (random.chance(faults.lostRequest)) return fails('request lost', TIMEOUT, reject);
      if (random.chance(faults.lateRequest)) {
        fails('given up', TIMEOUT, reject);
        const late = TIMEOUT + random.integer(0, SECOND);
        scheduler.after(late, () => void (this.arrives && work()));
        return;
      }
      const lost = random.chance(faults.lostReply);
      scheduler.after(there, () => {
        if (!this.arrives) return;
        void work().then((result) => {
          if (lost) return fails('reply lost', TIMEOUT, reject);
          scheduler.after(this.network.delay(faults.slowRequest), () => {
            if (!this.dead) resolve(result);
          });
        });
      });
    });
  }

  // What a dead process had sent is on the wire still, or lost with it.
  private get arrives(): boolean {
    return !this.dead || this.network.random.chance(0.5);
  }

  watch(prefix: string, watcher: Watcher, signal: AbortSignal): void {
    new Wire(this.network, this, prefix, watcher, signal).connect();
  }
}

/** One watch: in order, late, and now and then from the beginning. */
class Wire {
  private readonly network: Network;
  private readonly connection: Connection;
  private readonly prefix: string;
  private readonly watcher: Watcher;
  private readonly signal: AbortSignal;
  private source = new AbortController();
  private latest: Micros = 0;

  constructor(
    network: Network,
    connection: Connection,
    prefix: string,
    watcher: Watcher,
    signal: AbortSignal,
  ) {
    this.network = network;
    this.connection = connection;
    this.prefix = prefix;
    this.watcher = watcher;
    this.signal = signal;
  }

  connect(): void {
    if (this.over) return;
    const { scheduler, out } = this.network;
    if (out) {
      scheduler.after(SECOND, () => this.connect());
      return;
    }
    const source = new AbortController();
    this.source = source;
    this.network.memory.watch(
      this.prefix,
      {
        snapshot: (listing) =>
          this.deliver(source.signal, () => {
            this.connection.seen(this.prefix, listing);
            this.watcher.snapshot(listing);
            this.watcher.connection?.({ up: true });
          }),
        changes: (changes, revision) => {
          if (this.network.out || this.network.random.chance(this.network.faults.watchBreak))
            this.break();
          else
            this.deliver(source.signal, () => {
              this.connection.seen(this.prefix, changes);
              this.watcher.changes(changes, revision);
            });
        },
      },
      source.signal,
    );
  }

  private get over(): boolean {
    if (!this.connection.dead && !this.signal.aborted) return false;
    this.source.abort();
    return true;
  }

  private deliver(source: AbortSignal, run: () => void): void {
    if (this.over) return;
    const { scheduler, faults } = this.network;
    this.latest = Math.max(this.latest, scheduler.now + this.network.delay(faults.slowWatch));
    scheduler.after(this.latest - scheduler.now, () => {
      if (!this.over && !source.aborted) run();
    });
  }

  // What was on its way is lost with the connection.
  private break(): void {
    if (this.over) return;
    this.source.abort();
    const { scheduler, random } = this.network;
    scheduler.trace.add(`${scheduler.now} ${this.connection.name} watch ${this.prefix} broke`);
    scheduler.trace.counted('watch compacted');
    scheduler.after(random.integer(0, 1_000), () => {
      if (!this.over) this.watcher.connection?.({ up: false });
    });
    scheduler.after(random.integer(1_000, 500_000), () => this.connect());
  }
}
