// How long what a peer told is kept though it may hold no longer: while the peer restarts (RFC 4724
// section 4.2, RFC 9494 section 4.2), and while it tells everything again (RFC 7313 section 4.2).
import type { Milliseconds } from '../../base/clock.ts';
import type { Family } from '../../net/ip.ts';
import type { Agreed } from './peer.ts';

export interface Stale {
  readonly until: Milliseconds;
  /** What follows: the paths go, or they become the last choice for this long. */
  readonly thenMs: Milliseconds;
  readonly longLived: boolean;
  /** The peer is back and has told all that it has. */
  readonly told?: boolean;
}

/**
 * A reflector that comes back has told all before all others are back with it: what is the last
 * choice stays so much longer. The longest pause between two attempts of a peer, and the handshake.
 */
export const RETURN_MS = 10_000;

/** A peer that does not end its refresh in this time is not waited for. */
export const REFRESH_MS = 360_000;

/**
 * What is kept of a peer whose session ended: all; what does not lead through itself, because it
 * fell silent; or nothing.
 */
export type Kept = 'all' | 'beyond' | 'nothing';

/** Of a session that has just ended; undefined: nothing of the family is kept. */
export function staleOf(
  agreed: Agreed,
  family: Family,
  keeps: Kept,
  now: Milliseconds,
): Stale | undefined {
  if (keeps === 'nothing') return undefined;
  const { gracefulRestart, longLived = [] } = agreed;
  const restarts = gracefulRestart?.families.some((f) => f.family === family) ?? false;
  const restartMs = restarts ? (gracefulRestart?.restartSeconds ?? 0) * 1000 : 0;
  const lives = longLived.find((l) => l.family === family);
  if (!restarts && !lives) return undefined;
  const thenMs = (lives?.staleSeconds ?? 0) * 1000;
  // Nobody restarts there: what can be kept longer is the last choice from now on.
  const until = keeps === 'beyond' && thenMs > 0 ? now : now + restartMs;
  return { until, thenMs, longLived: false };
}

/** When it has to end at the latest, once the peer is back. */
export const boundOf = ({ until, told }: Stale, now: Milliseconds): Milliseconds =>
  Math.min(until, now + (told ? RETURN_MS : REFRESH_MS));

/** Its routes may live long, whatever becomes of itself (RFC 9494). */
export const livesLong = ({ longLived = [] }: Agreed, family: Family): boolean =>
  longLived.some((l) => l.family === family && l.staleSeconds > 0);

/** A peer that could not keep its forwarding state has lost its routes (RFC 4724 section 4.2). */
export const keepsForwarding = ({ gracefulRestart }: Agreed, family: Family): boolean =>
  gracefulRestart?.families.some((f) => f.family === family && f.forwardingPreserved) ?? false;
