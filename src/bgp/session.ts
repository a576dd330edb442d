// One peering as a pure state machine (RFC 4271 section 8): `step(session, event, at)` answers the
// next session and the effects that the shell carries out. Each TCP connection has a state of its
// own (OpenSent, OpenConfirm, Established), because two may exist until the collision of section
// 6.8 is decided; the peering's state is that of its furthest connection. A lost connection retries
// soon, a refused one after a growing wait (IdleHold). No clock, no sockets, no randomness here.
import type { Milliseconds } from '../base/clock.ts';
import type { Asn } from '../net/asn.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { RefreshSubtype, SessionMessage } from './codec/message.ts';
import type { Notification } from './codec/notification.ts';
import type { Open } from './codec/open.ts';
import type { Negotiated } from './handshake.ts';
import { onMessage, onUpdateBytes } from './on-message.ts';
import type { Kept } from './table/stale.ts';
import {
  onBfdDown,
  onConnectionDown,
  onConnectionUp,
  onHoldTimer,
  onKeepaliveTimer,
  onMalformed,
  onSendBytes,
  onSendHoldTimer,
  onStop,
  retrySeconds,
} from './transitions.ts';

export interface SessionConfig {
  readonly localAsn: Asn;
  readonly peerAsn: Asn;
  /** Our BGP identifier. */
  readonly routerId: Ip;
  readonly families: readonly Family[];
  /** Never connects, only listens. */
  readonly passive: boolean;
  /** What our OPEN offers: 0 or at least 3; the lower of both sides counts. */
  readonly holdTimeSeconds: number;
  /** Keepalives come at least so often; undefined: at a third of the hold time. */
  readonly keepaliveSeconds?: number | undefined;
  /** Undefined: neither do we keep the peer's routes while it restarts, nor it ours. */
  readonly gracefulRestart?: OurRestart | undefined;
  /** How long the peer keeps our routes beyond that, as a last resort (RFC 9494). */
  readonly longLivedSeconds?: number | undefined;
  /** Several paths to a prefix, both ways (RFC 7911). */
  readonly addPath: boolean;
  /** IPv4 prefixes with an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
}

/** How we restart (RFC 4724). */
export interface OurRestart {
  readonly restartSeconds: number;
  /** This program has just started, and peers may have kept the routes of the one before. */
  readonly restarting: boolean;
  /** Families whose routes the kernel has kept since; none after a reboot. */
  readonly forwardingPreserved: readonly Family[];
  /** Routes outlast NOTIFICATIONs and the hold timer, where the peer wants that too (RFC 8538). */
  readonly notifies: boolean;
}

/** A TCP connection on which our OPEN was sent. */
export interface Connection {
  readonly id: number;
  /** The peer opened it. */
  readonly incoming: boolean;
  readonly state: 'openSent' | 'openConfirm' | 'established';
  /** From OpenConfirm on. */
  readonly heard?: { readonly peer: Open; readonly negotiated: Negotiated } | undefined;
  readonly establishedAt?: Milliseconds | undefined;
  readonly holdUntil: Milliseconds | undefined;
  readonly keepaliveAt: Milliseconds | undefined;
}

export interface Session {
  readonly config: SessionConfig;
  readonly phase: 'idle' | 'connect' | 'active';
  /** ConnectRetryTimer in connect and active, IdleHoldTimer in idle. */
  readonly retryAt: Milliseconds | undefined;
  /** Failures in a row since the last Established; they lengthen the waits. */
  readonly failures: number;
  readonly connections: readonly Connection[];
  /** Until a session was established for the first time after the program's start. */
  readonly restarting: boolean;
  /** Why the last connection or attempt ended, in words. */
  readonly lastError: string | undefined;
}

export type SessionState =
  | 'idle'
  | 'connect'
  | 'active'
  | 'openSent'
  | 'openConfirm'
  | 'established';

export type SessionEvent =
  /** ManualStart (event 1). */
  | { readonly kind: 'start' }
  /** ManualStop (event 2); without a reason nothing is said to the peer. */
  | { readonly kind: 'stop'; readonly reason?: Notification }
  /** ConnectRetryTimer_Expires (9) or IdleHoldTimer_Expires (13). */
  | { readonly kind: 'retryTimerExpires' }
  /** Event 10. */
  | { readonly kind: 'holdTimerExpires'; readonly connection: number }
  /** Event 11. */
  | { readonly kind: 'keepaliveTimerExpires'; readonly connection: number }
  /** Tcp_CR_Acked (16) or TcpConnectionConfirmed (17). */
  | { readonly kind: 'connectionUp'; readonly connection: number; readonly incoming: boolean }
  /** Our attempt failed before it was up. */
  | { readonly kind: 'connectFailed'; readonly error: string }
  /** TcpConnectionFails (18). */
  | { readonly kind: 'connectionDown'; readonly connection: number; readonly error: string }
  /** SendHoldTimer_Expires (29, RFC 9687): the peer takes nothing of what we say any more. */
  | { readonly kind: 'sendHoldTimerExpires'; readonly connection: number }
  /** A message other than UPDATE arrived (19, 24 to 26). */
  | { readonly kind: 'message'; readonly connection: number; readonly message: SessionMessage }
  /** An UPDATE arrived (27); the machine does not look into it. */
  | { readonly kind: 'updateBytes'; readonly connection: number; readonly body: Uint8Array }
  /** Bytes that are no message, or an UPDATE at fault (21, 22, 28), and what it is answered with. */
  | { readonly kind: 'malformed'; readonly connection: number; readonly answer: Notification }
  /** Whole messages to send; dropped unless Established. */
  | { readonly kind: 'sendBytes'; readonly bytes: readonly Uint8Array[] }
  /** Nothing is forwarded to the peer any more (RFC 5882 section 4.2). */
  | { readonly kind: 'bfdDown' };

export type SessionEffect =
  | { readonly kind: 'connect' }
  /** Give up the attempt that is under way. */
  | { readonly kind: 'abandonConnect' }
  | { readonly kind: 'send'; readonly connection: number; readonly message: SessionMessage }
  | {
      readonly kind: 'sendBytes';
      readonly connection: number;
      readonly bytes: readonly Uint8Array[];
    }
  /** Close after what was sent has gone out. */
  | { readonly kind: 'close'; readonly connection: number }
  | {
      readonly kind: 'established';
      readonly connection: number;
      readonly negotiated: Negotiated;
      readonly peer: Open;
    }
  /** An established connection ended; all that the peer told and that is not kept is void. */
  | { readonly kind: 'down'; readonly error: string; readonly keeps: Kept }
  /** The body of an UPDATE. */
  | { readonly kind: 'updateBytes'; readonly body: Uint8Array }
  /** The peer wants a family again, or begins or ends to tell it again. */
  | { readonly kind: 'refresh'; readonly family: Family; readonly subtype: RefreshSubtype };

/** The moment of an event. `jitter` is a random number of 0.75 to 1 (RFC 4271 section 10). */
export interface Instant {
  readonly now: Milliseconds;
  readonly jitter: number;
}

export interface Step {
  readonly session: Session;
  readonly effects: readonly SessionEffect[];
}

export const newSession = (config: SessionConfig): Session => ({
  config,
  phase: 'idle',
  retryAt: undefined,
  failures: 0,
  connections: [],
  restarting: config.gracefulRestart?.restarting ?? false,
  lastError: undefined,
});

const ORDER = ['openSent', 'openConfirm', 'established'] as const;

/** The peering's state in the RFC's words. */
export function stateOf(session: Session): SessionState {
  const furthest = Math.max(-1, ...session.connections.map(({ state }) => ORDER.indexOf(state)));
  return ORDER[furthest] ?? session.phase;
}

export const establishedConnection = (session: Session): Connection | undefined =>
  session.connections.find(({ state }) => state === 'established');

export function step(session: Session, event: SessionEvent, at: Instant): Step {
  switch (event.kind) {
    case 'start':
      return session.phase === 'idle' && session.connections.length === 0
        ? begin(session, at)
        : { session, effects: [] };
    case 'stop':
      return onStop(session, event.reason);
    case 'retryTimerExpires':
      return onRetryTimer(session, at);
    case 'holdTimerExpires':
      return onHoldTimer(session, event.connection, at);
    case 'sendHoldTimerExpires':
      return onSendHoldTimer(session, event.connection, at);
    case 'keepaliveTimerExpires':
      return onKeepaliveTimer(session, event.connection, at);
    case 'connectionUp':
      return onConnectionUp(session, event, at);
    case 'connectFailed':
      return onConnectFailed(session, event.error, at);
    case 'connectionDown':
      return onConnectionDown(session, event.connection, event.error, at);
    case 'message':
      return onMessage(session, event.connection, event.message, at);
    case 'updateBytes':
      return onUpdateBytes(session, event.connection, event.body, at);
    case 'malformed':
      return onMalformed(session, event.connection, event.answer, at);
    case 'sendBytes':
      return onSendBytes(session, event.bytes, at);
    case 'bfdDown':
      return onBfdDown(session, at);
  }
}

/** When the shell must call again if nothing happens before. */
export function nextDeadline(session: Session): Milliseconds | undefined {
  const deadlines = [
    session.retryAt,
    ...session.connections.flatMap((c) => [c.holdUntil, c.keepaliveAt]),
  ].filter((deadline) => deadline !== undefined);
  return deadlines.length > 0 ? Math.min(...deadlines) : undefined;
}

/** The timer events that are due. */
export function dueEvents(session: Session, now: Milliseconds): readonly SessionEvent[] {
  const due = (deadline: Milliseconds | undefined) => deadline !== undefined && deadline <= now;
  return [
    ...(due(session.retryAt) ? [{ kind: 'retryTimerExpires' } as const] : []),
    ...session.connections.flatMap(({ id: connection, holdUntil, keepaliveAt }) => [
      ...(due(holdUntil) ? [{ kind: 'holdTimerExpires', connection } as const] : []),
      ...(due(keepaliveAt) ? [{ kind: 'keepaliveTimerExpires', connection } as const] : []),
    ]),
  ];
}

/** An attempt that has not come up after this time is given up and begun anew. */
const CONNECT_RETRY_SECONDS = 5;

function begin(session: Session, at: Instant): Step {
  if (session.config.passive)
    return { session: { ...session, phase: 'active', retryAt: undefined }, effects: [] };
  const retryAt = at.now + CONNECT_RETRY_SECONDS * 1000;
  return { session: { ...session, phase: 'connect', retryAt }, effects: [{ kind: 'connect' }] };
}

function onRetryTimer(session: Session, at: Instant): Step {
  if (session.retryAt === undefined) return { session, effects: [] };
  if (session.connections.length > 0) {
    const effects: SessionEffect[] =
      session.phase === 'connect' ? [{ kind: 'abandonConnect' }] : [];
    return { session: { ...session, phase: 'active', retryAt: undefined }, effects };
  }
  const next = begin(session, at);
  // A SYN that nobody answers must not be waited for longer than the timer.
  return session.phase === 'connect'
    ? { ...next, effects: [{ kind: 'abandonConnect' }, ...next.effects] }
    : next;
}

function onConnectFailed(session: Session, error: string, at: Instant): Step {
  if (session.phase !== 'connect') return { session, effects: [] };
  const failures = session.failures + 1;
  const wait = retrySeconds(failures) * 1000 * at.jitter;
  const retryAt = session.connections.length > 0 ? undefined : at.now + wait;
  // What the peer said last is not forgotten over attempts that reach nobody.
  const [said] = /peer: .*/s.exec(session.lastError ?? '') ?? [];
  const lastError = said ? `${error}; ${said}` : error;
  return { session: { ...session, phase: 'active', retryAt, failures, lastError }, effects: [] };
}
