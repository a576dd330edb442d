// One peering: the state machine of src/bgp/session.ts joined to sockets and a timer. Decides
// nothing itself; what the machine answers is carried out.
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import {
  bodyOf,
  decodeSessionMessage,
  EXTENDED_MESSAGE_OCTETS_MAX,
  encodeMessage,
  isUpdate,
  MESSAGE_OCTETS_MAX,
  type RefreshSubtype,
} from '../bgp/codec/message.ts';
import type { Notification } from '../bgp/codec/notification.ts';
import type { Negotiated } from '../bgp/handshake.ts';
import type { DesiredPeer } from '../bgp/peers.ts';
import {
  dueEvents,
  establishedConnection,
  newSession,
  nextDeadline,
  type SessionConfig,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
  stateOf,
  step,
} from '../bgp/session.ts';
import type { MessageCounts } from '../bgp/status.ts';
import type { Kept } from '../bgp/table/stale.ts';
import { sendHoldSeconds } from '../bgp/transitions.ts';
import type { Family, Ip } from '../net/ip.ts';
import { MessageCounter } from './messages.ts';
import { dial, openWire, type Wire, type WireListener } from './transport.io.ts';
import type { Turns } from './turns.io.ts';

export interface PeeringListener {
  /** `localAddress`: our side of the connection. */
  established(negotiated: Negotiated, localAddress: Ip | undefined): void;
  /** The body of an UPDATE; only valid until this returns. */
  update(body: Uint8Array): void;
  refresh(family: Family, subtype: RefreshSubtype): void;
  /** What of what the peer told stays until it is back (RFC 4724). */
  down(error: string, keeps: Kept): void;
}

export interface PeeringParts {
  readonly peer: DesiredPeer;
  readonly config: SessionConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** A random number of 0 to 1. */
  readonly random: () => number;
  readonly listener: PeeringListener;
  /** Shared by all peerings. */
  readonly turns: Turns;
}

export interface PeeringState {
  readonly state: SessionState;
  readonly since: Date;
  readonly lastError: string | undefined;
  /** Ends of established sessions. */
  readonly flaps: number;
  /** Since the start. */
  readonly received: MessageCounts;
  readonly sent: MessageCounts;
}

export class Peering {
  private readonly parts: PeeringParts;
  private readonly wires = new Map<number, Wire>();
  private session;
  private lastConnection = 0;
  private abandonDial: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private wakesAt = 0;
  private changedAt: Date;
  private flaps = 0;
  private readonly received = new MessageCounter();
  private readonly sent = new MessageCounter();

  constructor(parts: PeeringParts) {
    this.parts = parts;
    this.session = newSession(parts.config);
    this.changedAt = parts.clock.date();
    this.tell({ kind: 'start' });
  }

  get peer(): DesiredPeer {
    return this.parts.peer;
  }

  get state(): PeeringState {
    const { lastError } = this.session;
    const counts = { received: this.received.counts, sent: this.sent.counts };
    const { changedAt: since, flaps } = this;
    return { state: stateOf(this.session), since, lastError, flaps, ...counts };
  }

  get established(): boolean {
    return establishedConnection(this.session) !== undefined;
  }

  /** A connection that the peer opened. */
  accept(socket: Socket): void {
    this.begin(socket, true);
  }

  /** Whole messages, already encoded; dropped unless Established. */
  sendBytes(bytes: readonly Uint8Array[]): void {
    this.tell({ kind: 'sendBytes', bytes });
  }

  /** Octets that wait for the peer to read. */
  get queuedOctets(): number {
    const connection = establishedConnection(this.session)?.id;
    return connection === undefined ? 0 : (this.wires.get(connection)?.queuedOctets() ?? 0);
  }

  /** Ends the connection with this NOTIFICATION; the session tries again later. */
  reject(answer: Notification): void {
    const connection = establishedConnection(this.session)?.id;
    if (connection !== undefined) this.tell({ kind: 'malformed', connection, answer });
  }

  /** BFD says that the peer cannot be reached. */
  bfdDown(): void {
    this.tell({ kind: 'bfdDown' });
  }

  /** Without a reason the peer is told nothing: it sees the connection end. */
  stop(reason?: Notification): void {
    this.tell({ kind: 'stop', ...(reason ? { reason } : {}) });
    this.disarm();
  }

  private begin(socket: Socket, incoming: boolean): void {
    this.lastConnection += 1;
    const connection = this.lastConnection;
    const heard: WireListener = {
      message: (bytes) => this.receive(connection, bytes),
      malformed: (answer) => this.tell({ kind: 'malformed', connection, answer }),
      down: (error, unread) => {
        this.wires.delete(connection);
        if (unread) this.tell({ kind: 'sendHoldTimerExpires', connection });
        else this.tell({ kind: 'connectionDown', connection, error });
      },
      octetsMax: () => this.octetsMax(connection),
    };
    const wire = openWire(socket, heard, this.parts.turns);
    this.wires.set(connection, wire);
    this.tell({ kind: 'connectionUp', connection, incoming });
  }

  private negotiated(connection: number): Negotiated | undefined {
    return this.session.connections.find(({ id }) => id === connection)?.heard?.negotiated;
  }

  // RFC 8654 section 4: whoever offered it must be able to receive it from one who did too.
  private octetsMax(connection: number): number {
    const extended = this.negotiated(connection)?.extendedMessage ?? false;
    return extended ? EXTENDED_MESSAGE_OCTETS_MAX : MESSAGE_OCTETS_MAX;
  }

  private receive(connection: number, bytes: Uint8Array): void {
    this.received.add(bytes);
    if (isUpdate(bytes)) {
      this.tell({ kind: 'updateBytes', connection, body: bodyOf(bytes) });
      return;
    }
    const decoded = decodeSessionMessage(bytes);
    if (decoded.ok) this.tell({ kind: 'message', connection, message: decoded.value });
    else this.tell({ kind: 'malformed', connection, answer: decoded.error });
  }

  private tell(event: SessionEvent): void {
    const before = stateOf(this.session);
    const jitter = 0.75 + this.parts.random() / 4;
    const next = step(this.session, event, { now: this.parts.clock.now(), jitter });
    this.session = next.session;
    const after = stateOf(this.session);
    if (before !== after) {
      this.changedAt = this.parts.clock.date();
      const words = { state: after, was: before, lastError: this.session.lastError };
      this.parts.log.debug(words, 'session state');
    }
    for (const effect of next.effects) this.obey(effect);
    this.arm();
  }

  private obey(effect: SessionEffect): void {
    const { listener } = this.parts;
    switch (effect.kind) {
      case 'connect':
        this.connect();
        break;
      case 'abandonConnect':
        this.abandonDial?.();
        this.abandonDial = undefined;
        break;
      case 'send':
        this.write(effect.connection, [encodeMessage(effect.message, { fourOctetAs: true })]);
        break;
      case 'sendBytes':
        this.write(effect.connection, effect.bytes);
        break;
      case 'close':
        this.wires.get(effect.connection)?.close();
        this.wires.delete(effect.connection);
        break;
      case 'established':
        this.onEstablished(effect.connection, effect.negotiated);
        break;
      case 'updateBytes':
        listener.update(effect.body);
        break;
      case 'refresh':
        listener.refresh(effect.family, effect.subtype);
        break;
      case 'down':
        this.flaps += 1;
        listener.down(effect.error, effect.keeps);
        break;
    }
  }

  private onEstablished(connection: number, negotiated: Negotiated): void {
    const wire = this.wires.get(connection);
    const seconds = sendHoldSeconds(negotiated.holdTimeSeconds);
    if (seconds !== undefined) wire?.setSendHold(seconds * 1000);
    this.parts.listener.established(negotiated, wire?.localAddress);
  }

  private connect(): void {
    this.abandonDial?.();
    this.abandonDial = dial(
      this.parts.peer,
      (socket) => {
        this.abandonDial = undefined;
        this.begin(socket, false);
      },
      (error) => {
        this.abandonDial = undefined;
        this.tell({ kind: 'connectFailed', error });
      },
    );
  }

  private write(connection: number, bytes: readonly Uint8Array[]): void {
    const wire = this.wires.get(connection);
    if (!wire) return;
    for (const part of bytes) this.sent.add(part);
    if (wire.send(bytes)) return;
    wire.destroy();
    this.wires.delete(connection);
    // Later, since the machine is still being obeyed.
    const error = 'the peer does not read';
    setImmediate(() => this.tell({ kind: 'connectionDown', connection, error }));
  }

  // A timer that is early finds nothing due and is set anew, so that the deadlines that every message
  // moves cost nothing.
  private arm(): void {
    const deadline = nextDeadline(this.session);
    if (deadline === undefined) {
      this.disarm();
      return;
    }
    if (this.timer && this.wakesAt <= deadline) return;
    this.disarm();
    this.wakesAt = deadline;
    const wait = Math.max(0, deadline - this.parts.clock.now());
    // Behind the sockets: what has arrived while the loop was busy counts before a hold timer does.
    this.timer = setTimeout(() => setImmediate(() => this.expire()), Math.ceil(wait));
  }

  // Who has said something is alive, though it waits to be read.
  private isHeard(event: SessionEvent): boolean {
    if (event.kind !== 'holdTimerExpires') return false;
    return this.wires.get(event.connection)?.hasUnread() ?? false;
  }

  private disarm(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private expire(): void {
    this.timer = undefined;
    for (const event of dueEvents(this.session, this.parts.clock.now()))
      if (!this.isHeard(event)) this.tell(event);
    this.arm();
  }
}
