// What happens to a peering's connections: they come up, speak, fall silent and end. One function
// per kind of event, one per state of a connection that a message meets.

import type { Message } from './codec/message.ts';
import {
  CEASE,
  ERROR,
  FSM_ERROR,
  type Notification,
  notification,
  notificationText,
} from './codec/notification.ts';
import type { Update } from './codec/update.ts';
import { collisionLoser, negotiatedFamilies, ourOpen, refusalOf } from './handshake.ts';
import type { Connection, Instant, Session, SessionEffect, Step } from './session.ts';

/** How long an OPEN is waited for: "a large value" (RFC 4271 section 8.2.2). */
const OPEN_WAIT_SECONDS = 240;
const IDLE_HOLD_SECONDS = { min: 5, max: 30 } as const;
const COLLISION = notification(ERROR.cease, CEASE.connectionCollision);

const nothing = (session: Session): Step => ({ session, effects: [] });
const find = (session: Session, id: number): Connection | undefined =>
  session.connections.find((connection) => connection.id === id);

const withConnection = (session: Session, changed: Connection): Session => ({
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
  if (!expected || up) {
    const reason = notification(ERROR.cease, CEASE.connectionRejected);
    // A peer that connects anew while it is up (RFC 4271 section 6.8 keeps the old connection) may
    // have lost its memory: a word on the old connection then meets a reset, and ends it at once.
    const probe = up ? [send(up.id, { kind: 'keepalive' })] : [];
    return { session, effects: [send(id, reason), { kind: 'close', connection: id }, ...probe] };
  }
  // A second one from the same side tells that the first is dead.
  const dead = session.connections.filter((c) => c.incoming === incoming);
  const connection: Connection = {
    id,
    incoming,
    state: 'openSent',
    peer: undefined,
    holdTimeSeconds: session.config.holdTimeSeconds,
    holdUntil: at.now + OPEN_WAIT_SECONDS * 1000,
    keepaliveAt: undefined,
  };
  const phase = incoming ? session.phase : 'active';
  const connections = [...session.connections.filter((c) => !dead.includes(c)), connection];
  const retryAt = phase === 'connect' ? session.retryAt : undefined;
  return {
    session: { ...session, phase, retryAt, connections },
    effects: [...dead.map(closeOf), send(id, ourOpen(session.config))],
  };
}

const send = (connection: number, message: Message): SessionEffect => ({
  kind: 'send',
  connection,
  message,
});

export function onMessage(session: Session, id: number, message: Message, at: Instant): Step {
  const connection = find(session, id);
  if (!connection) return nothing(session);
  if (message.kind === 'notification') {
    const disagreed = message.code !== ERROR.cease;
    return end(session, connection, { error: `peer: ${notificationText(message)}`, disagreed }, at);
  }
  switch (connection.state) {
    case 'openSent':
      return inOpenSent(session, connection, message, at);
    case 'openConfirm':
      return inOpenConfirm(session, connection, message, at);
    case 'established':
      return inEstablished(session, connection, message, at);
  }
}

function inOpenSent(session: Session, connection: Connection, message: Message, at: Instant): Step {
  if (message.kind !== 'open') return unexpected(session, connection, FSM_ERROR.inOpenSent, at);
  const refusal = refusalOf(session.config, message);
  if (refusal) return refuse(session, connection, refusal, at);
  const loser = collisionLoser(session, connection, message);
  const ends = loser ? [send(loser.id, COLLISION), closeOf(loser)] : [];
  if (loser === connection) return { session: without(session, connection), effects: ends };
  const holdTimeSeconds = Math.min(session.config.holdTimeSeconds, message.holdTimeSeconds);
  const confirmed: Connection = {
    ...connection,
    state: 'openConfirm',
    peer: message,
    holdTimeSeconds,
    ...timers(holdTimeSeconds, at),
  };
  return {
    session: withConnection(loser ? without(session, loser) : session, confirmed),
    effects: [...ends, send(connection.id, { kind: 'keepalive' })],
  };
}

function inOpenConfirm(session: Session, connection: Connection, message: Message, at: Instant) {
  if (message.kind !== 'keepalive' || !connection.peer)
    return unexpected(session, connection, FSM_ERROR.inOpenConfirm, at);
  const up: Connection = { ...connection, state: 'established', ...heard(connection, at) };
  const effects: SessionEffect[] = [];
  // The other connection, if it has not even seen an OPEN, has lost the race.
  const others = session.connections.filter((c) => c.id !== connection.id);
  for (const other of others) effects.push(send(other.id, COLLISION), closeOf(other));
  if (session.phase === 'connect') effects.push({ kind: 'abandonConnect' });
  effects.push({ kind: 'established', connection: connection.id, peer: connection.peer });
  const calm = { phase: 'active', retryAt: undefined, failures: 0, lastError: undefined } as const;
  return { session: { ...session, ...calm, connections: [up] }, effects };
}

function inEstablished(
  session: Session,
  connection: Connection,
  message: Message,
  at: Instant,
): Step {
  const next = withConnection(session, { ...connection, ...heard(connection, at) });
  switch (message.kind) {
    case 'keepalive':
      return nothing(next);
    case 'update':
      return { session: next, effects: [{ kind: 'update', update: message }] };
    case 'routeRefresh': {
      const family = message.family;
      const known = negotiatedFamilies(session.config, connection.peer);
      const wanted = family !== undefined && known.includes(family);
      return { session, effects: wanted ? [{ kind: 'refresh', family }] : [] };
    }
    default:
      return unexpected(session, connection, FSM_ERROR.inEstablished, at);
  }
}

const heard = ({ holdTimeSeconds }: Connection, at: Instant) => ({
  holdUntil: holdTimeSeconds > 0 ? at.now + holdTimeSeconds * 1000 : undefined,
});

const nextKeepalive = (holdTimeSeconds: number, { now, jitter }: Instant): number | undefined =>
  holdTimeSeconds > 0 ? now + (holdTimeSeconds / 3) * 1000 * jitter : undefined;

const timers = (holdTimeSeconds: number, at: Instant) => ({
  holdUntil: holdTimeSeconds > 0 ? at.now + holdTimeSeconds * 1000 : undefined,
  keepaliveAt: nextKeepalive(holdTimeSeconds, at),
});

export function onUpdates(session: Session, updates: readonly Update[], at: Instant): Step {
  const connection = session.connections.find(({ state }) => state === 'established');
  if (!connection || updates.length === 0) return nothing(session);
  const keepaliveAt = nextKeepalive(connection.holdTimeSeconds, at);
  return {
    session: withConnection(session, { ...connection, keepaliveAt }),
    effects: updates.map((update) => send(connection.id, update)),
  };
}

export function onKeepaliveTimer(session: Session, id: number, at: Instant): Step {
  const connection = find(session, id);
  if (!connection || connection.state === 'openSent') return nothing(session);
  const keepaliveAt = nextKeepalive(connection.holdTimeSeconds, at);
  return {
    session: withConnection(session, { ...connection, keepaliveAt }),
    effects: [send(id, { kind: 'keepalive' })],
  };
}

export function onHoldTimer(session: Session, id: number, at: Instant): Step {
  const connection = find(session, id);
  return connection
    ? refuse(session, connection, notification(ERROR.holdTimer), at)
    : nothing(session);
}

export function onMalformed(session: Session, id: number, answer: Notification, at: Instant): Step {
  const connection = find(session, id);
  return connection ? refuse(session, connection, answer, at) : nothing(session);
}

export function onConnectionDown(session: Session, id: number, error: string, at: Instant): Step {
  const connection = find(session, id);
  return connection ? end(session, connection, { error, disagreed: false }, at) : nothing(session);
}

export function onStop(session: Session, reason: Notification | undefined): Step {
  const effects: SessionEffect[] = session.connections.flatMap((connection) => [
    ...(reason ? [send(connection.id, reason)] : []),
    closeOf(connection),
  ]);
  if (session.phase === 'connect') effects.push({ kind: 'abandonConnect' });
  if (session.connections.some(({ state }) => state === 'established'))
    effects.push({ kind: 'down', error: 'stopped' });
  const stopped = { phase: 'idle', retryAt: undefined, failures: 0, connections: [] } as const;
  return { session: { ...session, ...stopped }, effects };
}

const unexpected = (session: Session, connection: Connection, subcode: number, at: Instant): Step =>
  refuse(session, connection, notification(ERROR.fsm, subcode), at);

const refuse = (session: Session, connection: Connection, answer: Notification, at: Instant) =>
  end(session, connection, { error: notificationText(answer), answer, disagreed: true }, at);

const closeOf = ({ id }: Connection): SessionEffect => ({ kind: 'close', connection: id });
const without = (session: Session, { id }: Connection): Session => ({
  ...session,
  connections: session.connections.filter((c) => c.id !== id),
});

interface Ending {
  readonly error: string;
  /** What the peer is told. */
  readonly answer?: Notification;
  /** The sides do not understand each other, so that trying again at once is no use. */
  readonly disagreed: boolean;
}

/** Ends one connection; when it was the last, decides when to try again. */
function end(
  session: Session,
  connection: Connection,
  { error, answer, disagreed }: Ending,
  at: Instant,
): Step {
  const effects: SessionEffect[] = answer ? [send(connection.id, answer)] : [];
  effects.push(closeOf(connection));
  if (connection.state === 'established') effects.push({ kind: 'down', error });
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

const RETRY_SECONDS_MAX = 5;

/** The wait after so many failures in a row: 1, 2, 4, 5, 5 ... */
export const retrySeconds = (failures: number): number =>
  Math.min(2 ** (failures - 1), RETRY_SECONDS_MAX);
