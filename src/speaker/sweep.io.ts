// When what an earlier run left in the kernel and nobody has claimed may go: when every peer has told
// all it has and the table has decided on it, or when everybody had time to.
import type { Milliseconds } from '../base/clock.ts';
import type { Ip } from '../net/ip.ts';

/** Peers that have not come up this long after the start no longer hold back a sweep. */
export const SWEEP_AFTER_MS: Milliseconds = 120_000;

export class Sweep {
  private readonly sweep: () => void;
  private readonly finished = new Set<Ip>();
  private timer: NodeJS.Timeout | undefined;
  private due = false;

  constructor(sweep: () => void) {
    this.sweep = sweep;
  }

  /** The peer has told all that it has. */
  told(peer: Ip): void {
    this.finished.add(peer);
  }

  /** Without a peer nobody can tell, so that only the time decides. */
  consider(peers: readonly Ip[]): void {
    this.timer ??= setTimeout(() => this.sweep(), SWEEP_AFTER_MS);
    this.due ||= peers.length > 0 && peers.every((peer) => this.finished.has(peer));
  }

  /** All that was told has been decided. */
  decided(): void {
    if (!this.due) return;
    this.due = false;
    this.sweep();
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
