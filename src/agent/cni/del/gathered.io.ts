// Work in the background that costs as much for one as for a hundred: it is gathered for a moment and
// done together. Nothing is forgotten before it is done; a failure is repeated.
import type { Log } from '../../../base/log.io.ts';
import { messageOf } from '../../../base/op-error.ts';

export interface GatheredOptions<T> {
  /** What waits, in words for the log. */
  readonly what: string;
  /** Quiet time before a run, and how long steady calls may put it off. */
  readonly quietMilliseconds: number;
  readonly patienceMilliseconds: number;
  readonly repeatMilliseconds: number;
  /** After a run the next waits so many times as long as it took, but no longer than patience lasts. */
  readonly rest?: number;
  /** So many are done at once. */
  readonly most: number;
  /** Does all; rejects when any may be left. */
  readonly work: (items: readonly T[]) => Promise<void>;
  readonly log: Log;
}

export class Gathered<T> {
  private readonly options: GatheredOptions<T>;
  /** Each with the count at which it came. */
  private readonly items = new Map<T, number>();
  private count = 0;
  private since = 0;
  private timer: NodeJS.Timeout | undefined;
  /** When the timer fires, and the earliest that it may. */
  private at = 0;
  private notBefore = 0;
  private restUntil = 0;
  /** The run under way and what it is at work on. */
  private running:
    | { readonly taken: ReadonlyMap<T, number>; readonly done: Promise<void> }
    | undefined;
  /** A run that has not begun: whoever asks meanwhile shares it. */
  private next: Promise<void> | undefined;
  private closed = false;

  constructor(options: GatheredOptions<T>) {
    this.options = options;
  }

  get waiting(): number {
    return this.items.size;
  }

  has(item: T): boolean {
    return this.items.has(item);
  }

  add(item: T): void {
    if (this.items.size === 0) this.since = performance.now();
    this.items.set(item, ++this.count);
    this.putOff();
  }

  /** It need not be done any more. */
  drop(item: T): void {
    this.items.delete(item);
  }

  /** Resolves when the item is done, at once rather than later; undefined: it does not wait. */
  gone(item: T): Promise<void> | undefined {
    const count = this.items.get(item);
    if (count === undefined) return undefined;
    return this.running?.taken.get(item) === count ? this.running.done : this.doAll();
  }

  /** Runs now, also with nothing gathered. Rejects with the failure, after which it is repeated. */
  doAll(): Promise<void> {
    this.stopTimer();
    this.next ??= (this.running?.done ?? Promise.resolve()).catch(() => {}).then(() => this.run());
    return this.next;
  }

  /** As doAll; a failure is logged. */
  async tryAll(): Promise<void> {
    try {
      await this.doAll();
    } catch (cause) {
      const { log, what } = this.options;
      log.warn({ cause: messageOf(cause) }, `${what} not removed; it will be repeated`);
    }
  }

  /** A call is under way that a run would make wait. */
  putOff(): void {
    if (this.items.size === 0) return;
    const { quietMilliseconds, patienceMilliseconds, most } = this.options;
    const now = performance.now();
    const overdue = now - this.since > patienceMilliseconds || this.items.size >= most;
    const at = Math.max(overdue ? now : now + quietMilliseconds, this.notBefore, this.restUntil);
    if (!overdue || !this.timer || at < this.at) this.runAt(at);
  }

  close(): void {
    this.closed = true;
    this.stopTimer();
  }

  private async run(): Promise<void> {
    this.next = undefined;
    const taken = new Map(this.items);
    const begun = performance.now();
    const done = this.options.work([...taken.keys()]);
    this.running = { taken, done };
    try {
      await done;
      for (const [item, count] of taken)
        if (this.items.get(item) === count) this.items.delete(item);
      const ended = performance.now();
      const { rest = 0, patienceMilliseconds } = this.options;
      this.since = ended;
      this.notBefore = 0;
      this.restUntil = ended + Math.min(rest * (ended - begun), patienceMilliseconds);
    } catch (cause) {
      this.notBefore = performance.now() + this.options.repeatMilliseconds;
      this.runAt(this.notBefore);
      throw cause;
    } finally {
      this.running = undefined;
    }
  }

  private runAt(time: number): void {
    this.stopTimer();
    if (this.closed) return;
    this.at = time;
    const begin = (): void => {
      if (this.items.size > 0 || this.notBefore > 0) void this.tryAll();
    };
    this.timer = setTimeout(begin, Math.max(0, time - performance.now())).unref();
  }

  private stopTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
