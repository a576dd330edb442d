// What happens to a peering's connections: they come up, fall silent and end. One function per kind
// of event.

import type { SessionMessage } from './codec/message.ts';
import {
  CEASE,
  ERROR,
  hardReset,
  isHardReset,
  type Notification,
  notification,
  notificationText,
} from './codec/notification.ts';
import { type Ending, keptAfter, ourOpen } from './handshake.ts';
import type {
  Connection,
  Instant,
  Session,
  SessionConfig,
  SessionEffect,
  Step,
} from './session.ts';

/** How long an OPEN is waited for: "a large value" (RFC 4271 section 8.2.2). */
const OPEN_WAIT_SECONDS = 240;
const IDLE_HOLD_SECONDS = { min: 5, max: 30 } as const;
export const COLLISION = notification(ERROR.cease, CEASE.connectionCollision);

export const nothing = (session: Session): Step => ({ session, effects: [] });
export const find = (session: Session, id: number): Connection | undefined =>
  session.connections.find((connection) => connection.id === id);

export const withConnection = (session: Session, changed: Connection): Session => ({
  ...session,
  connections: session.connections.map((c) => (c.id === changed.id ? changed : c)),
});

export function onConnectionUp(
  session: Session,
  { connection: id, incoming }: { readonly connection: number; readonly incoming: boolean },
  at: Instant,
): Step {
  const expected = incoming ? session.phase !== 'idle' : session.phase === 'connect';
  const up = session.connections.find((c) => c.state === 'established');
  if (up && incoming && comesBack(up, at)) return onReturn(session, up, id, at);
  if (!expected || up) {
    const reason = notification(ERROR.cease, CEASE.connectionRejected);
    // A peer that connects anew while it is up (RFC 4271 section 6.8 keeps the old connection) may
    // have lost its memory: a word on the old connection then meets a reset, and ends it at once.
    const probe = up ? [send(up.id, { kind: 'keepalive' })] : [];
    return { session, effects: [send(id, reason), { kind: 'close', connection: id }, ...probe] };
  }
  // A second one from the same side tells that the first is dead.
  const dead = session.connections.filter((c) => c.incoming === incoming);
  const connection = newConnection(id, incoming, at);
  const phase = incoming ? session.phase : 'active';
  const connections = [...session.connections.filter((c) => !dead.includes(c)), connection];
  const retryAt = phase === 'connect' ? session.retryAt : undefined;
  return {
    session: { ...session, phase, retryAt, connections },
    effects: [...dead.map(closeOf), send(id, ourOpen(session))],
  };
}

const newConnection = (id: number, incoming: boolean, { now }: Instant): Connection => ({
  id,
  incoming,
  state: 'openSent',
  holdUntil: now + OPEN_WAIT_SECONDS * 1000,
  keepaliveAt: undefined,
});

/** A second connection this soon is the loser of the race for the first, not a restart. */
const RACE_MS = 5000;

// A peer that restarts gracefully comes anew before we know that it went (RFC 4724 section 5): the
// new connection takes the place of the old one, and its routes stay.
const comesBack = ({ heard, establishedAt = 0 }: Connection, { now }: Instant): boolean =>
  (heard?.negotiated.gracefulRestart?.families.length ?? 0) > 0 && now - establishedAt >= RACE_MS;

function onReturn(session: Session, up: Connection, id: number, at: Instant): Step {
  const error = 'the peer restarted';
  const connections = [newConnection(id, true, at)];
  return {
    session: { ...session, phase: 'active', retryAt: undefined, lastError: error, connections },
    effects: [closeOf(up), { kind: 'down', error, keeps: 'all' }, send(id, ourOpen(session))],
  };
}

export const send = (connection: number, message: SessionMessage): SessionEffect => ({
  kind: 'send',
  connection,
  message,
});

const holdMs = ({ heard }: Connection): number => (heard?.negotiated.holdTimeSeconds ?? 0) * 1000;

/** Whatever is heard restarts the hold timer. */
export const heardAt = (connection: Connection, { now }: Instant) => ({
  holdUntil: holdMs(connection) > 0 ? now + holdMs(connection) : undefined,
});

// A third of the hold time at most (RFC 4271 section 4.4), with jitter (section 10).
function nextKeepalive(
  { keepaliveSeconds }: SessionConfig,
  connection: Connection,
  { now, jitter }: Instant,
): number | undefined {
  const third = holdMs(connection) / 3;
  if (third === 0) return undefined;
  return now + Math.min(third, (keepaliveSeconds ?? Number.POSITIVE_INFINITY) * 1000) * jitter;
}

export const timers = (config: SessionConfig, connection: Connection, at: Instant) => ({
  ...heardAt(connection, at),
  keepaliveAt: nextKeepalive(config, connection, at),
});

export function onSendBytes(session: Session, bytes: readonly Uint8Array[], at: Instant): Step {
  const connection = session.connections.find(({ state }) => state === 'established');
  if (!connection || bytes.length === 0) return nothing(session);
  const keepaliveAt = nextKeepalive(session.config, connection, at);
  return {
    session: withConnection(session, { ...connection, keepaliveAt }),
    effects: [{ kind: 'sendBytes', connection: connection.id, bytes }],
  };
}

export function onKeepaliveTimer(session: Session, id: number, at: Instant): Step {
  const connection = find(session, id);
  if (!connection || connection.state === 'openSent') return nothing(session);
  const keepaliveAt = nextKeepalive(session.config, connection, at);
  return {
    session: withConnection(session, { ...connection, keepaliveAt }),
    effects: [send(id, { kind: 'keepalive' })],
  };
}

export function onHoldTimer(session: Session, id: number, at: Instant): Step {
  const connection = find(session, id);
  if (!connection) return nothing(session);
  const answer = notification(ERROR.holdTimer);
  const ending = { kind: 'silent' } as const;
  const error = notificationText(answer);
  return end(session, connection, { error, answer, disagreed: true, ending }, at);
}

/** SendHoldTime: at least so long (RFC 9687 section 3.2), and twice the hold time; none with a hold time of 0. */
const SEND_HOLD_SECONDS_MIN = 480;
export const sendHoldSeconds = (holdTimeSeconds: number): number | undefined =>
  holdTimeSeconds > 0 ? Math.max(SEND_HOLD_SECONDS_MIN, 2 * holdTimeSeconds) : undefined;

/** A NOTIFICATION would wait behind all that the peer has not taken: it is not sent. */
export function onSendHoldTimer(session: Session, id: number, at: Instant): Step {
  const connection = find(session, id);
  if (!connection) return nothing(session);
  const error = notificationText(notification(ERROR.sendHoldTimer));
  if (connection.state !== 'established') return onConnectionDown(session, id, error, at);
  const ending = { kind: 'silent' } as const;
  return end(session, connection, { error, disagreed: true, ending }, at);
}

export function onMalformed(session: Session, id: number, answer: Notification, at: Instant): Step {
  const connection = find(session, id);
  return connection ? refuse(session, connection, answer, at) : nothing(session);
}

export function onConnectionDown(session: Session, id: number, error: string, at: Instant): Step {
  const connection = find(session, id);
  const ending = { kind: 'lost' } as const;
  return connection
    ? end(session, connection, { error, disagreed: false, ending }, at)
    : nothing(session);
}

/** RFC 9384 section 3: the peer cannot be reached, whatever TCP still believes. */
export function onBfdDown(session: Session, at: Instant): Step {
  const connection = session.connections.find(({ state }) => state === 'established');
  if (!connection) return nothing(session);
  const answer = notification(ERROR.cease, CEASE.bfdDown);
  const error = notificationText(answer);
  const ending = { kind: 'silent' } as const;
  return end(session, connection, { error, answer, disagreed: false, ending }, at);
}

export function onStop(session: Session, reason: Notification | undefined): Step {
  const effects: SessionEffect[] = session.connections.flatMap((connection) => [
    ...(reason ? [send(connection.id, hardened(connection, reason))] : []),
    closeOf(connection),
  ]);
  if (session.phase === 'connect') effects.push({ kind: 'abandonConnect' });
  if (session.connections.some(({ state }) => state === 'established'))
    effects.push({ kind: 'down', error: 'stopped', keeps: 'nothing' });
  const stopped = { phase: 'idle', retryAt: undefined, failures: 0, connections: [] } as const;
  return { session: { ...session, ...stopped }, effects };
}

// A Cease means that the routes shall go; to a peer that keeps them after a NOTIFICATION this must
// be said (RFC 8538 section 3).
const hardened = ({ heard, state }: Connection, reason: Notification): Notification =>
  state === 'established' &&
  heard?.negotiated.gracefulRestart?.notifies &&
  reason.code === ERROR.cease &&
  !isHardReset(reason)
    ? hardReset(reason)
    : reason;

export const unexpected = (
  session: Session,
  connection: Connection,
  subcode: number,
  at: Instant,
): Step => refuse(session, connection, notification(ERROR.fsm, subcode), at);

export function refuse(
  session: Session,
  connection: Connection,
  reason: Notification,
  at: Instant,
): Step {
  const answer = hardened(connection, reason);
  const ending = { kind: 'notified', hard: reason.code === ERROR.cease } as const;
  const error = notificationText(answer);
  return end(session, connection, { error, answer, disagreed: true, ending }, at);
}

export const closeOf = ({ id }: Connection): SessionEffect => ({ kind: 'close', connection: id });
export const without = (session: Session, { id }: Connection): Session => ({
  ...session,
  connections: session.connections.filter((c) => c.id !== id),
});

interface End {
  readonly error: string;
  /** What the peer is told. */
  readonly answer?: Notification;
  /** The sides do not understand each other, so that trying again at once is no use. */
  readonly disagreed: boolean;
  readonly ending: Ending;
}

/** Ends one connection; when it was the last, decides when to try again. */
export function end(
  session: Session,
  connection: Connection,
  { error, answer, disagreed, ending }: End,
  at: Instant,
): Step {
  const effects: SessionEffect[] = answer ? [send(connection.id, answer)] : [];
  effects.push(closeOf(connection));
  const { heard } = connection;
  if (connection.state === 'established' && heard)
    effects.push({ kind: 'down', error, keeps: keptAfter(heard.negotiated, ending) });
  const rest = { ...without(session, connection), lastError: error };
  if (rest.connections.length > 0 || rest.phase === 'connect') return { session: rest, effects };
  return { session: retry(rest, disagreed, at), effects };
}

// A peer that went away is looked for soon, and less often while it stays away; one that disagrees
// is left in peace for longer. The passive side goes on listening: the other one keeps the pace.
function retry(session: Session, disagreed: boolean, { now, jitter }: Instant): Session {
  const failures = session.failures + 1;
  if (session.config.passive) return { ...session, phase: 'active', retryAt: undefined, failures };
  const idleHold = Math.min(IDLE_HOLD_SECONDS.min * 2 ** (failures - 1), IDLE_HOLD_SECONDS.max);
  const seconds = disagreed ? idleHold : retrySeconds(failures);
  return {
    ...session,
    phase: disagreed ? 'idle' : 'active',
    retryAt: now + seconds * 1000 * jitter,
    failures,
  };
}

const RETRY_SECONDS = { min: 0.1, max: 5 } as const;

/**
 * The wait after so many failures in a row: 0.1, 0.2, 0.4 ... 5, 5. The first ones are short: who
 * is refused by a peer that is about to hear of the session must not lose a second by that.
 */
export const retrySeconds = (failures: number): number =>
  Math.min(RETRY_SECONDS.min * 2 ** (failures - 1), RETRY_SECONDS.max);
