// What a message does, one function for each state of the connection that it meets (RFC 4271
// section 8.2.2).
import type { RouteRefresh, SessionMessage } from './codec/message.ts';
import {
  ERROR,
  FSM_ERROR,
  isHardReset,
  notificationText,
  tellsOfSilence,
} from './codec/notification.ts';
import type { Open } from './codec/open.ts';
import { collisionLoser, type Ending, negotiate, refusalOf } from './handshake.ts';
import type { Connection, Instant, Session, SessionEffect, Step } from './session.ts';
import {
  COLLISION,
  closeOf,
  end,
  find,
  heardAt,
  nothing,
  refuse,
  send,
  timers,
  unexpected,
  withConnection,
  without,
} from './transitions.ts';

/** Events 19 and 24 to 26. */
export function onMessage(
  session: Session,
  id: number,
  message: SessionMessage,
  at: Instant,
): Step {
  const connection = find(session, id);
  if (!connection) return nothing(session);
  if (message.kind === 'notification') {
    const disagreed = message.code !== ERROR.cease;
    const ending: Ending = tellsOfSilence(message)
      ? { kind: 'silent' }
      : { kind: 'notified', hard: isHardReset(message) };
    const error = `peer: ${notificationText(message)}`;
    return end(session, connection, { error, disagreed, ending }, at);
  }
  switch (connection.state) {
    case 'openSent':
      return message.kind === 'open'
        ? onOpen(session, connection, message, at)
        : unexpected(session, connection, FSM_ERROR.inOpenSent, at);
    case 'openConfirm':
      return message.kind === 'keepalive'
        ? onConfirmed(session, connection, at)
        : unexpected(session, connection, FSM_ERROR.inOpenConfirm, at);
    case 'established':
      return inEstablished(session, connection, message, at);
  }
}

/** Event 27. */
export function onUpdateBytes(session: Session, id: number, body: Uint8Array, at: Instant): Step {
  const connection = find(session, id);
  if (!connection) return nothing(session);
  switch (connection.state) {
    case 'openSent':
      return unexpected(session, connection, FSM_ERROR.inOpenSent, at);
    case 'openConfirm':
      return unexpected(session, connection, FSM_ERROR.inOpenConfirm, at);
    case 'established':
      return {
        session: withConnection(session, { ...connection, ...heardAt(connection, at) }),
        effects: [{ kind: 'updateBytes', body }],
      };
  }
}

function onOpen(session: Session, connection: Connection, peer: Open, at: Instant): Step {
  const refusal = refusalOf(session.config, peer);
  if (refusal) return refuse(session, connection, refusal, at);
  const loser = collisionLoser(session, connection, peer);
  const ends = loser ? [send(loser.id, COLLISION), closeOf(loser)] : [];
  if (loser === connection) return { session: without(session, connection), effects: ends };
  const opened: Connection = {
    ...connection,
    state: 'openConfirm',
    heard: { peer, negotiated: negotiate(session.config, peer) },
  };
  const confirmed = { ...opened, ...timers(session.config, opened, at) };
  return {
    session: withConnection(loser ? without(session, loser) : session, confirmed),
    effects: [...ends, send(connection.id, { kind: 'keepalive' })],
  };
}

function onConfirmed(session: Session, connection: Connection, at: Instant): Step {
  const established = { state: 'established', establishedAt: at.now } as const;
  const up: Connection = { ...connection, ...established, ...heardAt(connection, at) };
  const effects: SessionEffect[] = [];
  // The other connection, if it has not even seen an OPEN, has lost the race.
  const others = session.connections.filter((c) => c.id !== connection.id);
  for (const other of others) effects.push(send(other.id, COLLISION), closeOf(other));
  if (session.phase === 'connect') effects.push({ kind: 'abandonConnect' });
  effects.push({ kind: 'established', connection: connection.id, ...connection.heard! });
  const calm = { phase: 'active', retryAt: undefined, failures: 0, lastError: undefined } as const;
  // RFC 4724 section 3: the Restart State bit is of the first session after a restart.
  return { session: { ...session, ...calm, restarting: false, connections: [up] }, effects };
}

function inEstablished(
  session: Session,
  connection: Connection,
  message: Exclude<SessionMessage, { kind: 'notification' }>,
  at: Instant,
): Step {
  const next = withConnection(session, { ...connection, ...heardAt(connection, at) });
  switch (message.kind) {
    case 'keepalive':
      return nothing(next);
    case 'routeRefresh':
      return { session: next, effects: refreshes(connection, message) };
    default:
      return unexpected(session, connection, FSM_ERROR.inEstablished, at);
  }
}

// Of a family that was not agreed, or of an unknown subtype, it is ignored (RFC 2918 section 4, RFC
// 7313 section 5); its begin and end are said only by one who may (RFC 7313 section 4.1).
function refreshes(
  { heard }: Connection,
  { family, subtype }: RouteRefresh,
): readonly SessionEffect[] {
  const { families = [], enhancedRefresh = false } = heard?.negotiated ?? {};
  if (family === undefined || subtype === undefined || !families.includes(family)) return [];
  if (subtype !== 'request' && !enhancedRefresh) return [];
  return [{ kind: 'refresh', family, subtype }];
}
