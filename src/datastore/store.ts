// The datastore port: ordered keys with revisions, compare-and-swap transactions and watches, as
// etcd v3 offers them. Correctness of IPAM rests on `transaction` compares alone, never on locks
// or leases. Twins: etcd.io.ts and memory.ts, both under store.cases.ts.
import type { OpError } from '../base/op-error.ts';

/** A stored value. `revision` is the key's modification revision. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  readonly revision: bigint;
}

/** Everything under a prefix as of one revision, in key order. */
export interface Listing {
  readonly items: readonly KeyValue[];
  readonly revision: bigint;
}

/** Holds when the key's modification revision is `revision`; 0n: the key does not exist. */
export interface Compare {
  readonly key: string;
  readonly revision: bigint;
}

export type Write =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string };

/** All writes happened at `revision`, or none did and `current` tells each compared key's state. */
export type TransactionResult =
  | { readonly kind: 'committed'; readonly revision: bigint }
  | { readonly kind: 'conflict'; readonly current: readonly (KeyValue | undefined)[] };

export type Change =
  | { readonly kind: 'put'; readonly item: KeyValue }
  /** `revision` is that of the deletion. */
  | { readonly kind: 'delete'; readonly key: string; readonly revision: bigint };

/** Callbacks of a watch; never called concurrently, never after the signal fired. */
export interface Watcher {
  /** The whole state: at first, and again when history was lost. What is absent is gone. */
  snapshot(listing: Listing): void;
  /** Changes in revision order, each revision whole. */
  changes(changes: readonly Change[], revision: bigint): void;
  /** The connection broke or came back; the watch goes on by itself. */
  connection?(state: { readonly up: boolean; readonly error?: OpError }): void;
  /** The store was restored from a backup, or is another one: its snapshot comes next. */
  restored?(why: string): void;
}

export interface Store {
  /** Throws OpError when the store cannot be reached within the deadline. */
  get(key: string): Promise<KeyValue | undefined>;
  list(prefix: string): Promise<Listing>;
  /**
   * All writes, if every compare holds. Throws OpError when the outcome is unknown: read back,
   * never repeat blindly.
   */
  transaction(compares: readonly Compare[], writes: readonly Write[]): Promise<TransactionResult>;
  /** Follows a prefix until the signal fires. */
  watch(prefix: string, watcher: Watcher, signal: AbortSignal): void;
  close(): void;
}
