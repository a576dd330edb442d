// One BFD session in asynchronous mode as a pure state machine (RFC 5880 section 6.8): `step(session,
// event, at)` answers the next session and what the shell has to do. Echo, authentication and our
// own Demand mode are not there; a peer in Demand mode is obeyed. Both sides take the active role.
import { assert } from '../base/assert.ts';
import type { Milliseconds } from '../base/clock.ts';
import { type BfdState, type ControlPacket, DIAGNOSTIC } from './packet.ts';
import { detectAt, SLOW_US, toldIntervals, transmitAt } from './timers.ts';

/** Intervals in milliseconds. */
export interface BfdTimers {
  readonly transmitMs: number;
  readonly receiveMs: number;
  /** 1 to 255: how many packets the peer may miss. */
  readonly multiplier: number;
}

/** What the peer said last (RFC 5880 section 6.8.1, bfd.Remote...). */
export interface Remote {
  readonly state: BfdState;
  /** 0: not known. */
  readonly discriminator: number;
  readonly minReceiveUs: number;
  readonly minTransmitUs: number;
  readonly multiplier: number;
  readonly demand: boolean;
}

export interface Session {
  /** As configured; what is told and used also depends on the state, see timers.ts. */
  readonly timers: BfdTimers;
  readonly state: BfdState;
  readonly discriminator: number;
  readonly diagnostic: number;
  readonly remote: Remote;
  /** A Poll Sequence runs; `again`: the timers changed meanwhile, another one must follow. */
  readonly poll: 'none' | 'active' | 'again';
  /** The fastest sending and the slowest receiving that the peer may still count on: what it has
   * confirmed, and all that it was told since (section 6.8.3). */
  readonly confirmed: { readonly transmitUs: number; readonly receiveUs: number };
  /** Of the last packet that was sent, and the jitter that was drawn then, 0 to 1. */
  readonly sentAt: Milliseconds | undefined;
  readonly jitter: number;
  /** Of the last packet that counts for the Detection Time; undefined: it does not run. */
  readonly heardAt: Milliseconds | undefined;
}

export type SessionEvent =
  /** A packet for this session, which the codec took. */
  | { readonly kind: 'packet'; readonly packet: ControlPacket }
  /** A deadline of the session may have come. */
  | { readonly kind: 'time' }
  | { readonly kind: 'configure'; readonly timers: BfdTimers }
  /** Takes the session out of service, and puts it back (section 6.8.16). */
  | { readonly kind: 'disable' }
  | { readonly kind: 'enable' };

export type SessionEffect =
  | { readonly kind: 'send'; readonly packet: ControlPacket }
  | { readonly kind: 'changed'; readonly change: StateChange };

export interface StateChange {
  readonly was: BfdState;
  readonly state: BfdState;
  readonly diagnostic: number;
  readonly remoteState: BfdState;
}

/** The moment of an event. `jitter` is a random number of 0 to 1. */
export interface Instant {
  readonly now: Milliseconds;
  readonly jitter: number;
}

export interface Step {
  readonly session: Session;
  readonly effects: readonly SessionEffect[];
}

/** Section 6.8.1: a peer that was not heard wants a packet per microsecond, for all we know. */
const UNHEARD: Remote = {
  state: 'down',
  discriminator: 0,
  minReceiveUs: 1,
  minTransmitUs: 0,
  multiplier: 0,
  demand: false,
};

/** `discriminator`: not 0, unlike those of all other sessions of this system. */
export function newSession(discriminator: number, timers: BfdTimers): Session {
  assert(discriminator !== 0, 'a discriminator is not 0');
  return {
    timers,
    state: 'down',
    discriminator,
    diagnostic: DIAGNOSTIC.none,
    remote: UNHEARD,
    poll: 'none',
    confirmed: {
      transmitUs: Math.max(timers.transmitMs * 1000, SLOW_US),
      receiveUs: timers.receiveMs * 1000,
    },
    sentAt: undefined,
    jitter: 0,
    heardAt: undefined,
  };
}

/** An established session was lost: what runs over the path must be told (RFC 5882 section 3.2).
 * A peer that is taken out of service on purpose is no failure of the path (section 4.2). */
export const isFailure = ({ was, state, remoteState }: StateChange): boolean =>
  was === 'up' && state === 'down' && remoteState !== 'adminDown';

export function step(session: Session, event: SessionEvent, at: Instant): Step {
  switch (event.kind) {
    case 'packet':
      return onPacket(session, event.packet, at);
    case 'time':
      return onTime(session, at);
    case 'configure':
      return { session: configured(session, event.timers), effects: [] };
    case 'disable':
      return entering(session, 'adminDown', DIAGNOSTIC.administrativelyDown, at);
    case 'enable':
      return session.state === 'adminDown'
        ? entering(session, 'down', DIAGNOSTIC.none, at)
        : { session, effects: [] };
  }
}

// Section 6.8.6, from the point where the session is known.
function onPacket(before: Session, packet: ControlPacket, at: Instant): Step {
  const session = packet.final ? confirmed(heard(before, packet)) : heard(before, packet);
  if (session.state === 'adminDown') return { session, effects: [] };
  const counted = { ...session, heardAt: at.now };
  const next = TRANSITIONS[session.state][packet.state];
  if (next === undefined || next === session.state) {
    const effects = packet.poll ? [sending(counted, true)] : [];
    return { session: counted, effects };
  }
  const diagnostic = next === 'down' ? DIAGNOSTIC.neighborSignaledDown : session.diagnostic;
  return entering(counted, next, diagnostic, at, packet.poll);
}

/** Section 6.8.6: own state, then what the peer says. */
const TRANSITIONS: Readonly<
  Record<Exclude<BfdState, 'adminDown'>, Readonly<Partial<Record<BfdState, BfdState>>>>
> = {
  down: { down: 'init', init: 'up' },
  init: { adminDown: 'down', init: 'up', up: 'up' },
  up: { adminDown: 'down', down: 'down' },
};

const heard = (session: Session, packet: ControlPacket): Session => ({
  ...session,
  remote: {
    state: packet.state,
    discriminator: packet.myDiscriminator,
    minReceiveUs: packet.requiredMinReceiveUs,
    minTransmitUs: packet.desiredMinTransmitUs,
    multiplier: packet.detectMultiplier,
    demand: packet.demand,
  },
});

// The end of a Poll Sequence (section 6.5). One that began for older timers confirms nothing.
function confirmed(session: Session): Session {
  if (session.poll === 'none') return session;
  if (session.poll === 'again') return { ...session, poll: 'active' };
  return { ...session, poll: 'none', confirmed: toldIntervals(session) };
}

// Section 6.8.4, then 6.8.7.
function onTime(session: Session, at: Instant): Step {
  const { state } = session;
  const lost = (detectAt(session) ?? Number.POSITIVE_INFINITY) <= at.now;
  if (lost) {
    const forgotten: Session = { ...session, remote: UNHEARD, heardAt: undefined };
    return state === 'init' || state === 'up'
      ? entering(forgotten, 'down', DIAGNOSTIC.detectionTimeExpired, at)
      : { session: forgotten, effects: [] };
  }
  const due = (transmitAt(session) ?? Number.POSITIVE_INFINITY) <= at.now;
  if (!due) return { session, effects: [] };
  return {
    session: { ...session, sentAt: at.now, jitter: at.jitter },
    effects: [sending(session, false)],
  };
}

// Section 6.8.3: a change is confirmed by the peer while the session is Up.
function configured(before: Session, timers: BfdTimers): Session {
  const [was, session] = [toldIntervals(before), { ...before, timers }];
  const told = toldIntervals(session);
  if (session.state !== 'up') return { ...session, confirmed: told };
  if (told.transmitUs === was.transmitUs && told.receiveUs === was.receiveUs) return session;
  return {
    ...session,
    poll: session.poll === 'none' ? 'active' : 'again',
    confirmed: {
      transmitUs: Math.min(was.transmitUs, before.confirmed.transmitUs),
      receiveUs: Math.max(was.receiveUs, before.confirmed.receiveUs),
    },
  };
}

// Section 6.8.7: a change of state is told at once, as the answer to a Poll if there is one.
function entering(
  before: Session,
  state: BfdState,
  diagnostic: number,
  at: Instant,
  final = false,
): Step {
  if (before.state === state) return { session: before, effects: [] };
  const changed = { ...before, state, diagnostic };
  const session: Session =
    state === 'up'
      ? { ...changed, poll: 'active' }
      : { ...changed, poll: 'none', confirmed: toldIntervals(changed) };
  const change = { was: before.state, state, diagnostic, remoteState: before.remote.state };
  return {
    session: { ...session, sentAt: at.now, jitter: at.jitter },
    effects: [{ kind: 'changed', change }, sending(session, final)],
  };
}

function sending(session: Session, final: boolean): SessionEffect {
  const { transmitUs, receiveUs } = toldIntervals(session);
  const packet: ControlPacket = {
    diagnostic: session.diagnostic,
    state: session.state,
    poll: session.poll !== 'none' && !final,
    final,
    controlPlaneIndependent: false,
    demand: false,
    detectMultiplier: session.timers.multiplier,
    myDiscriminator: session.discriminator,
    yourDiscriminator: session.remote.discriminator,
    desiredMinTransmitUs: transmitUs,
    requiredMinReceiveUs: receiveUs,
    requiredMinEchoReceiveUs: 0,
  };
  return { kind: 'send', packet };
}
