// Where the calculator's input comes from: the datastore's watch, and endpoints that CNI ADD hands
// over directly because it just wrote them. The watch brings those a moment later; until then what
// it says of their keys is older than what we know.
import type { Change, KeyValue } from '../datastore/store.ts';
import { parseKey } from '../model/keys.ts';
import { parseWorkloadEndpointName } from '../model/workload-endpoint.ts';
import type { PolicyCalculator } from './calculate.ts';

interface Ahead {
  readonly value: string;
  /** A snapshot did not confirm it; what comes next is believed. */
  readonly doubtful: boolean;
}

/** Whether the key is that of an endpoint on the node. */
function isLocalEndpoint(path: string, node: string): boolean {
  const key = parseKey(path);
  if (key?.kind !== 'namespaced' || key.plural !== 'workloadendpoints') return false;
  return parseWorkloadEndpointName(key.name)?.node === node;
}

export class PolicyFeed {
  private readonly calculator: PolicyCalculator;
  private readonly node: string;
  /** Endpoints of which the watch has not told yet. */
  private readonly ahead = new Map<string, Ahead>();
  /** Texts of this node's endpoints, to see at once that nothing has changed. */
  private readonly texts = new Map<string, string>();

  constructor(calculator: PolicyCalculator, node: string) {
    this.calculator = calculator;
    this.node = node;
  }

  /** The whole state: what is absent is gone. */
  snapshot(items: readonly KeyValue[]): void {
    const stored = new Map(items.map(({ key, value }) => [key, value]));
    for (const key of this.calculator.keys())
      if (!stored.has(key) && !this.ahead.has(key)) this.forget(key);
    for (const [key, { value, doubtful }] of this.ahead) {
      const now = stored.get(key);
      if (now === value || doubtful) this.ahead.delete(key);
      else this.ahead.set(key, { value, doubtful: true });
      if (doubtful && now === undefined) this.forget(key);
    }
    for (const [key, value] of stored) if (!this.ahead.has(key)) this.put(key, value);
  }

  /** True when they may change what the kernel shall hold. */
  changes(changes: readonly Change[]): boolean {
    let relevant = false;
    for (const change of changes) {
      const key = change.kind === 'put' ? change.item.key : change.key;
      if (this.isOlder(key, change.kind === 'put' ? change.item.value : undefined)) continue;
      const changed = change.kind === 'put' ? this.put(key, change.item.value) : this.forget(key);
      relevant ||= changed;
    }
    return relevant;
  }

  /** An endpoint as it was just written. */
  putEndpoint(key: string, value: string): boolean {
    if (this.texts.get(key) === value) return false;
    this.ahead.set(key, { value, doubtful: false });
    return this.put(key, value);
  }

  removeEndpoint(key: string): boolean {
    this.ahead.delete(key);
    return this.forget(key);
  }

  // The watch tells revisions in order: before it brings our own write, all it brings is older.
  private isOlder(key: string, value: string | undefined): boolean {
    const ahead = this.ahead.get(key);
    if (!ahead) return false;
    if (ahead.value !== value && !ahead.doubtful) return true;
    this.ahead.delete(key);
    return false;
  }

  private put(key: string, value: string): boolean {
    if (this.texts.get(key) === value) return false;
    if (isLocalEndpoint(key, this.node)) this.texts.set(key, value);
    return this.calculator.put(key, value);
  }

  private forget(key: string): boolean {
    this.texts.delete(key);
    return this.calculator.remove(key);
  }
}
