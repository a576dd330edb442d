// How often the kernel's whole table is read at most, whoever asks for it: soon enough for what goes without
// a word to be back within a second, and of the time of a large table no more than a fifth.
import type { Milliseconds } from '../base/clock.ts';

const PAUSE_MS = 200;
const PAUSE_SHARE = 4;

export class AuditPace {
  /** The next one begins no sooner. */
  earliest: Milliseconds = Number.NEGATIVE_INFINITY;
  private began: Milliseconds | undefined;

  begin(now: Milliseconds): void {
    this.began = now;
  }

  end(now: Milliseconds): void {
    const took = now - (this.began ?? now);
    this.earliest = now + Math.max(PAUSE_MS, PAUSE_SHARE * took);
  }
}
