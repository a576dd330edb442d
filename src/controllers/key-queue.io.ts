// Keys that need work, each once, one at a time; a failure waits longer each time, up to a bound,
// and is never dropped.
import type { Log } from '../base/log.io.ts';
import { messageOf } from '../base/op-error.ts';

const RETRY_FIRST_MILLISECONDS = 100;
const RETRY_MAX_MILLISECONDS = 30_000;

export class KeyQueue {
  private readonly work: (key: string) => Promise<void>;
  private readonly log: Log;
  private readonly signal: AbortSignal;
  private readonly waiting = new Set<string>();
  private readonly failures = new Map<string, number>();
  private running = false;

  constructor(options: { work: (key: string) => Promise<void>; log: Log; signal: AbortSignal }) {
    this.work = options.work;
    this.log = options.log;
    this.signal = options.signal;
  }

  /** Keys that failed last time. */
  get failing(): readonly string[] {
    return [...this.failures.keys()];
  }

  add(key: string): void {
    if (this.signal.aborted) return;
    this.waiting.add(key);
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    await Promise.resolve(); // what arrives together is worked together
    for (const key of this.waiting) {
      if (this.signal.aborted) break;
      this.waiting.delete(key);
      try {
        await this.work(key);
        this.failures.delete(key);
      } catch (cause) {
        this.later(key, cause);
      }
    }
    this.running = false;
  }

  private later(key: string, cause: unknown): void {
    const count = (this.failures.get(key) ?? 0) + 1;
    this.failures.set(key, count);
    const wait = Math.min(RETRY_FIRST_MILLISECONDS * 2 ** (count - 1), RETRY_MAX_MILLISECONDS);
    this.log.warn({ key, cause: messageOf(cause), retryMilliseconds: wait }, 'will be tried again');
    setTimeout(() => this.add(key), wait).unref(); // after the signal it does nothing
  }
}
