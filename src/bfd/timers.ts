// When a session sends and when it has heard nothing for too long (RFC 5880 sections 6.8.2 to 6.8.4
// and 6.8.7): derived from its variables at any time, never stored.
import type { Milliseconds } from '../base/clock.ts';
import type { Session } from './session.ts';

/** Section 6.8.3: a session that is not Up sends once a second at most. */
export const SLOW_US = 1_000_000;

/** What our packets say. */
export function toldIntervals({ state, timers }: Session): {
  readonly transmitUs: number;
  readonly receiveUs: number;
} {
  const wanted = timers.transmitMs * 1000;
  return {
    transmitUs: state === 'up' ? wanted : Math.max(wanted, SLOW_US),
    receiveUs: timers.receiveMs * 1000,
  };
}

// Section 6.8.3: slower sending waits for the end of the Poll Sequence, faster sending does not.
function transmitIntervalUs(session: Session): number {
  const { confirmed, remote } = session;
  const wanted = Math.min(toldIntervals(session).transmitUs, confirmed.transmitUs);
  return Math.max(wanted, remote.minReceiveUs);
}

/** Section 6.8.4; a shorter time waits for the end of the Poll Sequence (section 6.8.3). */
export function detectionTimeMs(session: Session): Milliseconds {
  const { confirmed, remote } = session;
  const accepted = Math.max(toldIntervals(session).receiveUs, confirmed.receiveUs);
  return (remote.multiplier * Math.max(accepted, remote.minTransmitUs)) / 1000;
}

// Section 6.8.7, the cases in which nothing is sent periodically.
function isQuiet({ state, remote, poll }: Session): boolean {
  const demanded = remote.demand && state === 'up' && remote.state === 'up' && poll === 'none';
  return demanded || remote.minReceiveUs === 0;
}

/**
 * When the next periodic packet goes out; undefined: none does. Jitter takes up to a quarter off
 * the interval; with a multiplier of 1 a tenth at least, for then one late packet is a loss.
 */
export function transmitAt(session: Session): Milliseconds | undefined {
  if (isQuiet(session)) return undefined;
  if (session.sentAt === undefined) return Number.NEGATIVE_INFINITY;
  const width = session.timers.multiplier === 1 ? 0.15 : 0.25;
  const share = 0.75 + width * session.jitter;
  return session.sentAt + (transmitIntervalUs(session) / 1000) * share;
}

/** When the peer counts as lost; undefined: it was not heard. */
export const detectAt = (session: Session): Milliseconds | undefined =>
  session.heardAt === undefined ? undefined : session.heardAt + detectionTimeMs(session);

/** When the shell must call again with `time` if nothing happens before. */
export function nextDeadline(session: Session): Milliseconds | undefined {
  const deadlines = [transmitAt(session), detectAt(session)].filter((at) => at !== undefined);
  return deadlines.length > 0 ? Math.min(...deadlines) : undefined;
}
