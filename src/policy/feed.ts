// Where the calculator's input comes from: the datastore's watch, and endpoints that CNI ADD hands
// over directly because it just wrote them. The watch brings those a moment later; until then what
// it says of their keys is older than what we know.
import type { Change, KeyValue } from '../datastore/store.ts';
import { parseKey } from '../model/keys.ts';
import { mayBeEndpointOf, parseWorkloadEndpointName } from '../model/workload-endpoint.ts';
import type { PolicyCalculator } from './calculate.ts';

interface Ahead {
  readonly value: string;
  /** Of the write; 0n when it is not known. */
  readonly revision: bigint;
  /** A snapshot did not confirm it; what comes next is believed. */
  readonly doubtful: boolean;
  /** What the watch has told meanwhile and was not believed. */
  readonly withheld?: Change;
}

/** Endpoints whose newest revision is remembered: far more than are being written at a time. */
const SEEN_MAX = 1000;

/** Whether the key is that of an endpoint on the node. */
function isLocalEndpoint(path: string, node: string): boolean {
  const key = parseKey(path);
  if (key?.kind !== 'namespaced' || key.plural !== 'workloadendpoints') return false;
  return parseWorkloadEndpointName(key.name)?.node === node;
}

export class PolicyFeed {
  private readonly calculator: PolicyCalculator;
  private readonly node: string;
  private readonly mayBeLocal: (key: string) => boolean;
  /** Endpoints of which the watch has not told yet. */
  private readonly ahead = new Map<string, Ahead>();
  /** Endpoints that were removed while a snapshot is taken in: what it says of them is older. */
  private removed: Set<string> | undefined;
  /** The newest revision that the watch has told of this node's endpoints. */
  private readonly seen = new Map<string, bigint>();
  /** Texts of this node's endpoints, to see at once that nothing has changed. */
  private readonly texts = new Map<string, string>();

  constructor(calculator: PolicyCalculator, node: string) {
    this.calculator = calculator;
    this.node = node;
    this.mayBeLocal = mayBeEndpointOf(node);
  }

  /**
   * The whole state: what is absent is gone. It is taken in piece by piece; between two pieces
   * endpoints may be put and removed directly, and nothing else may happen.
   */
  *snapshot(items: readonly KeyValue[]): Generator<void, void> {
    const removed = new Set<string>();
    this.removed = removed;
    const stored = new Map<string, string>();
    for (const { key, value, revision } of items) {
      stored.set(key, value);
      this.see(key, revision);
      yield;
    }
    for (const key of this.calculator.keys()) {
      if (!stored.has(key) && !this.ahead.has(key)) this.forget(key);
      yield;
    }
    for (const [key, ahead] of this.ahead) {
      const { value, revision, doubtful } = ahead;
      const now = stored.get(key);
      const told = revision > 0n && (this.seen.get(key) ?? 0n) >= revision;
      if (now === value || told || doubtful) this.ahead.delete(key);
      else this.ahead.set(key, { ...ahead, doubtful: true });
      if (doubtful && now === undefined) this.forget(key);
    }
    for (const [key, value] of stored) {
      if (!this.ahead.has(key) && !removed.has(key)) this.put(key, value);
      yield;
    }
    this.removed = undefined;
  }

  /** True when they may change what the kernel shall hold. */
  changes(changes: readonly Change[]): boolean {
    let relevant = false;
    for (const change of changes) {
      const key = change.kind === 'put' ? change.item.key : change.key;
      if (this.isOlder(key, change)) continue;
      const changed = change.kind === 'put' ? this.put(key, change.item.value) : this.forget(key);
      relevant ||= changed;
    }
    return relevant;
  }

  /** An endpoint as it was just written. */
  putEndpoint(key: string, value: string, revision = 0n): boolean {
    if (revision > 0n && (this.seen.get(key) ?? 0n) >= revision) return this.believe(key);
    if (this.texts.get(key) === value) return false;
    this.ahead.set(key, { value, revision, doubtful: false });
    return this.put(key, value);
  }

  // The watch was faster than the write's answer: what it told is as new or newer.
  private believe(key: string): boolean {
    const { withheld } = this.ahead.get(key) ?? {};
    if (!withheld) return false;
    this.ahead.delete(key);
    return withheld.kind === 'put' ? this.put(key, withheld.item.value) : this.forget(key);
  }

  removeEndpoint(key: string): boolean {
    this.ahead.delete(key);
    this.removed?.add(key);
    return this.forget(key);
  }

  // The watch tells revisions in order: before it brings our own write, all it brings is older.
  private isOlder(key: string, change: Change): boolean {
    const revision = change.kind === 'put' ? change.item.revision : change.revision;
    this.see(key, revision);
    const ahead = this.ahead.get(key);
    if (!ahead) return false;
    const value = change.kind === 'put' ? change.item.value : undefined;
    const older = ahead.revision > 0n ? revision < ahead.revision : ahead.value !== value;
    if (older && !ahead.doubtful) {
      this.ahead.set(key, { ...ahead, withheld: change });
      return true;
    }
    this.ahead.delete(key);
    return false;
  }

  private isLocal(key: string): boolean {
    return this.mayBeLocal(key) && isLocalEndpoint(key, this.node);
  }

  private see(key: string, revision: bigint): void {
    if (!this.isLocal(key)) return;
    if ((this.seen.get(key) ?? 0n) >= revision) return;
    this.seen.delete(key); // newest last
    this.seen.set(key, revision);
    if (this.seen.size > SEEN_MAX) this.seen.delete(this.seen.keys().next().value!);
  }

  private put(key: string, value: string): boolean {
    if (this.texts.get(key) === value) return false;
    if (this.isLocal(key)) this.texts.set(key, value);
    return this.calculator.put(key, value);
  }

  private forget(key: string): boolean {
    this.texts.delete(key);
    return this.calculator.remove(key);
  }
}
