// The datastore's memory twin: same revisions, compares and watch order as etcd, for unit tests.
// Failures can be asked for, so that lost replies and outages are a matter of a line.
import { OpError } from '../base/op-error.ts';
import type {
  Change,
  Compare,
  KeyValue,
  Listing,
  Store,
  TransactionResult,
  Watcher,
  Write,
} from './store.ts';

export type Fault = 'unreachable' | 'lostReply';
export type Operation = 'get' | 'list' | 'transaction';

export interface MemoryStore extends Store {
  /** The next call of this operation fails: it never happened, or its reply was lost. */
  failNext(operation: Operation, fault?: Fault): void;
  /** Calls so far, by operation. */
  readonly calls: Readonly<Record<Operation, number>>;
  /** Unconditional put, for tests. */
  put(key: string, value: string): void;
  delete(key: string): void;
}

interface Watching {
  readonly prefix: string;
  readonly watcher: Watcher;
  readonly signal: AbortSignal;
}

export function memoryStore(): MemoryStore {
  return new Memory();
}

class Memory implements MemoryStore {
  readonly calls: Record<Operation, number> = { get: 0, list: 0, transaction: 0 };
  private readonly items = new Map<string, KeyValue>();
  private readonly watches = new Set<Watching>();
  private readonly faults: { operation: Operation; fault: Fault }[] = [];
  private revision = 1n;

  async get(key: string): Promise<KeyValue | undefined> {
    this.called('get');
    return this.items.get(key);
  }

  async list(prefix: string): Promise<Listing> {
    this.called('list');
    return this.listing(prefix);
  }

  async transaction(
    compares: readonly Compare[],
    writes: readonly Write[],
  ): Promise<TransactionResult> {
    const fault = this.called('transaction');
    const holds = compares.every(
      ({ key, revision }) => (this.items.get(key)?.revision ?? 0n) === revision,
    );
    if (!holds)
      return { kind: 'conflict', current: compares.map(({ key }) => this.items.get(key)) };
    this.write(writes);
    if (fault === 'lostReply') throw new OpError('memory transaction', 'the reply was lost');
    return { kind: 'committed', revision: this.revision };
  }

  watch(prefix: string, watcher: Watcher, signal: AbortSignal): void {
    const watching = { prefix, watcher, signal };
    queueMicrotask(() => {
      if (signal.aborted) return;
      watcher.snapshot(this.listing(prefix));
      watcher.connection?.({ up: true });
      this.watches.add(watching);
    });
  }

  close(): void {
    this.watches.clear();
  }

  failNext(operation: Operation, fault: Fault = 'unreachable'): void {
    this.faults.push({ operation, fault });
  }

  put(key: string, value: string): void {
    this.write([{ kind: 'put', key, value }]);
  }

  delete(key: string): void {
    this.write([{ kind: 'delete', key }]);
  }

  private called(operation: Operation): Fault | undefined {
    this.calls[operation]++;
    const index = this.faults.findIndex((fault) => fault.operation === operation);
    if (index < 0) return undefined;
    const fault = this.faults[index]!.fault;
    this.faults.splice(index, 1);
    if (fault === 'unreachable') throw new OpError(`memory ${operation}`, 'unreachable');
    return fault;
  }

  private listing(prefix: string): Listing {
    const items = [...this.items.values()].filter(({ key }) => key.startsWith(prefix));
    return { items: items.sort((a, b) => (a.key < b.key ? -1 : 1)), revision: this.revision };
  }

  private write(writes: readonly Write[]): void {
    const effective = writes.filter((write) => write.kind === 'put' || this.items.has(write.key));
    if (effective.length === 0) return;
    this.revision++;
    const changes = effective.map((write): Change => {
      if (write.kind === 'delete') {
        this.items.delete(write.key);
        return { kind: 'delete', key: write.key, revision: this.revision };
      }
      const item = { key: write.key, value: write.value, revision: this.revision };
      this.items.set(write.key, item);
      return { kind: 'put', item };
    });
    this.tell(changes, this.revision);
  }

  // Watchers hear on a later microtask, as over a network; each gets only its prefix.
  private tell(changes: readonly Change[], revision: bigint): void {
    for (const { prefix, watcher, signal } of this.watches) {
      const mine = changes.filter((c) =>
        (c.kind === 'put' ? c.item.key : c.key).startsWith(prefix),
      );
      if (mine.length > 0)
        queueMicrotask(() => void (signal.aborted || watcher.changes(mine, revision)));
    }
  }
}
