// Everything under /calico/resources/ as it is stored now, by one watch, and who wants to hear of it.

import type { Log } from '../base/log.io.ts';
import { messageOf } from '../base/op-error.ts';
import type { KeyValue, Store } from '../datastore/store.ts';
import { RESOURCES } from '../model/keys.ts';

export class DatastoreMirror {
  private readonly items = new Map<string, KeyValue>();
  private readonly listeners: ((key: string) => void)[] = [];
  private readonly snapshotListeners: (() => void)[] = [];
  inSync = false;
  /** Why the datastore is not heard now; undefined when it is. */
  problem: string | undefined = 'datastore: waiting for the first list';

  get(key: string): KeyValue | undefined {
    return this.items.get(key);
  }

  keys(): readonly string[] {
    return [...this.items.keys()];
  }

  /** Hears of every key that changed or vanished. */
  onChange(listener: (key: string) => void): void {
    this.listeners.push(listener);
  }

  /** Hears of every snapshot, also of an empty one; the changes are told first. */
  onSnapshot(listener: () => void): void {
    this.snapshotListeners.push(listener);
  }

  follow(store: Store, log: Log, signal: AbortSignal): void {
    store.watch(
      RESOURCES,
      {
        snapshot: ({ items }) => {
          const before = this.keys();
          this.items.clear();
          for (const item of items) this.items.set(item.key, item);
          this.inSync = true;
          this.tell(new Set([...before, ...this.items.keys()]));
          for (const listener of this.snapshotListeners) listener();
        },
        changes: (changes) => {
          for (const change of changes) {
            if (change.kind === 'put') this.learn(change.item);
            else this.items.delete(change.key);
          }
          this.tell(changes.map((c) => (c.kind === 'put' ? c.item.key : c.key)));
        },
        connection: ({ up, error }) => {
          this.problem = up ? undefined : `datastore: ${messageOf(error)}`;
          if (!up) log.warn({ cause: messageOf(error) }, 'datastore connection lost');
        },
      },
      signal,
    );
  }

  /** What a write or a read just showed; older news is ignored. */
  learn(item: KeyValue): void {
    if ((this.items.get(item.key)?.revision ?? -1n) <= item.revision)
      this.items.set(item.key, item);
  }

  forget(key: string): void {
    this.items.delete(key);
  }

  private tell(keys: Iterable<string>): void {
    for (const key of keys) for (const listener of this.listeners) listener(key);
  }
}
