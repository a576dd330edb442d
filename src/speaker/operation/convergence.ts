// How long news takes: from the first UPDATE after quiet until the table has decided and told, and
// the kernel has the routes. What arrives meanwhile belongs to the same burst.
import type { Clock, Milliseconds } from '../../base/clock.ts';

export class Convergence {
  private readonly clock: Pick<Clock, 'now'>;
  private readonly isSettled: () => boolean;
  private since: Milliseconds | undefined;
  /** Hears of each burst, in seconds. */
  took: (seconds: number) => void = () => {};

  constructor(clock: Pick<Clock, 'now'>, isSettled: () => boolean) {
    this.clock = clock;
    this.isSettled = isSettled;
  }

  /** An UPDATE arrived. */
  begin(): void {
    this.since ??= this.clock.now();
  }

  /** Something may have been finished. */
  look(): void {
    if (this.since === undefined || !this.isSettled()) return;
    this.took((this.clock.now() - this.since) / 1000);
    this.since = undefined;
  }
}
