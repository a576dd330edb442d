// When what an earlier run left in the kernel and nobody has claimed may go: when every peer has told
// all it has and the table has decided on it, or when everybody had time to. While nobody at all has
// told anything the node is cut off, and what it knew last is better than nothing.
import type { Milliseconds } from '../base/clock.ts';
import type { Ip } from '../net/ip.ts';

/** Peers that have not come up this long after the start no longer hold back a sweep. */
export const SWEEP_AFTER_MS: Milliseconds = 120_000;
/** A node that is cut off keeps its routes for a day. */
export const ROUNDS_MAX = 720;

export class Sweep {
  private readonly sweep: () => void;
  private readonly finished = new Set<Ip>();
  private timer: NodeJS.Timeout | undefined;
  private due = false;
  private hasPeers = false;
  private rounds = 0;

  constructor(sweep: () => void) {
    this.sweep = sweep;
  }

  /** The peer has told all that it has. */
  told(peer: Ip): void {
    this.finished.add(peer);
  }

  /** Without a peer nobody can tell, so that only the time decides. */
  consider(peers: readonly Ip[]): void {
    this.hasPeers = peers.length > 0;
    this.timer ??= setTimeout(() => this.onTime(), SWEEP_AFTER_MS);
    this.due ||= peers.length > 0 && peers.every((peer) => this.finished.has(peer));
  }

  /** All that was told has been decided. */
  decided(): void {
    if (!this.due) return;
    this.due = false;
    this.sweep();
  }

  private onTime(): void {
    this.rounds += 1;
    const isCutOff = this.hasPeers && this.finished.size === 0;
    if (isCutOff && this.rounds < ROUNDS_MAX)
      this.timer = setTimeout(() => this.onTime(), SWEEP_AFTER_MS);
    else this.sweep();
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
