// One peering: the state machine of src/bgp/session.ts joined to sockets and a timer. Decides
// nothing itself; what the machine answers is carried out.
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { decodeMessage, encodeMessage, type Message } from '../bgp/codec/message.ts';
import type { Notification } from '../bgp/codec/notification.ts';
import type { Open } from '../bgp/codec/open.ts';
import type { Update } from '../bgp/codec/update.ts';
import { speaksFourOctetAs } from '../bgp/handshake.ts';
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
import type { Family } from '../net/ip.ts';
import { dial, openWire, type Wire } from './transport.io.ts';

export interface PeeringListener {
  established(peer: Open): void;
  update(update: Update): void;
  refresh(family: Family): void;
  down(error: string): void;
}

export interface PeeringParts {
  readonly peer: DesiredPeer;
  readonly config: SessionConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** A random number of 0 to 1. */
  readonly random: () => number;
  readonly listener: PeeringListener;
}

export interface PeeringState {
  readonly state: SessionState;
  readonly since: Date;
  readonly lastError: string | undefined;
  /** Ends of established sessions. */
  readonly flaps: number;
}

export class Peering {
  private readonly parts: PeeringParts;
  private readonly wires = new Map<number, Wire>();
  private session;
  private lastConnection = 0;
  private abandonDial: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;
  private changedAt: Date;
  private flaps = 0;

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
    return { state: stateOf(this.session), since: this.changedAt, lastError, flaps: this.flaps };
  }

  get established(): boolean {
    return establishedConnection(this.session) !== undefined;
  }

  /** A connection that the peer opened. */
  accept(socket: Socket): void {
    this.begin(socket, true);
  }

  send(updates: readonly Update[]): void {
    this.tell({ kind: 'updates', updates });
  }

  /** Whole messages, already encoded; dropped unless Established. */
  sendBytes(messages: readonly Uint8Array[]): void {
    const connection = establishedConnection(this.session)?.id;
    if (connection !== undefined) for (const bytes of messages) this.write(connection, bytes);
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

  /** Without a reason the peer is told nothing: it sees the connection end. */
  stop(reason?: Notification): void {
    this.tell({ kind: 'stop', ...(reason ? { reason } : {}) });
    clearTimeout(this.timer);
  }

  private begin(socket: Socket, incoming: boolean): void {
    this.lastConnection += 1;
    const connection = this.lastConnection;
    const wire = openWire(socket, {
      message: (bytes) => this.receive(connection, bytes),
      malformed: (answer) => this.tell({ kind: 'malformed', connection, answer }),
      down: (error) => {
        this.wires.delete(connection);
        this.tell({ kind: 'connectionDown', connection, error });
      },
    });
    this.wires.set(connection, wire);
    this.tell({ kind: 'connectionUp', connection, incoming });
  }

  private receive(connection: number, bytes: Uint8Array): void {
    const { localAsn, peerAsn } = this.parts.config;
    const peer = this.session.connections.find(({ id }) => id === connection)?.peer;
    const decoded = decodeMessage(bytes, {
      fourOctetAs: speaksFourOctetAs(peer),
      external: localAsn !== peerAsn,
    });
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
        this.transmit(effect.connection, effect.message);
        break;
      case 'close':
        this.wires.get(effect.connection)?.close();
        this.wires.delete(effect.connection);
        break;
      case 'established':
        listener.established(effect.peer);
        break;
      case 'update':
        listener.update(effect.update);
        break;
      case 'refresh':
        listener.refresh(effect.family);
        break;
      case 'down':
        this.flaps += 1;
        listener.down(effect.error);
        break;
    }
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

  private transmit(connection: number, message: Message): void {
    const peer = this.session.connections.find(({ id }) => id === connection)?.peer;
    this.write(connection, encodeMessage(message, { fourOctetAs: speaksFourOctetAs(peer) }));
  }

  private write(connection: number, bytes: Uint8Array): void {
    const wire = this.wires.get(connection);
    if (!wire || wire.send(bytes)) return;
    wire.destroy();
    this.wires.delete(connection);
    // Later, since the machine is still being obeyed.
    const error = 'the peer does not read';
    setImmediate(() => this.tell({ kind: 'connectionDown', connection, error }));
  }

  private arm(): void {
    clearTimeout(this.timer);
    const deadline = nextDeadline(this.session);
    if (deadline === undefined) return;
    const wait = Math.max(0, deadline - this.parts.clock.now());
    // Behind the sockets: what has arrived while the loop was busy counts before a hold timer does.
    this.timer = setTimeout(() => setImmediate(() => this.expire()), Math.ceil(wait));
  }

  private expire(): void {
    const due = dueEvents(this.session, this.parts.clock.now());
    for (const event of due) this.tell(event);
    if (due.length === 0) this.arm();
  }
}
