// What has arrived on one connection, cut into messages and read in turns. A peer that says more than
// can be read has to wait: its socket is not read on meanwhile.
import type { Socket } from 'node:net';
import { takeMessage } from '../bgp/codec/message.ts';
import type { Notification } from '../bgp/codec/notification.ts';
import type { Turns } from './turns.io.ts';

export interface InboxListener {
  message(bytes: Uint8Array): void;
  /** The stream cannot be read on. */
  malformed(answer: Notification): void;
  /** The longest message that may come now. */
  octetsMax(): number;
}

/** Octets read in one turn, and how many may wait unread: the longest message at least. */
const READ_AT_ONCE = 16 * 1024;
const UNREAD_MAX = 64 * 1024;

export class Inbox {
  private readonly socket: Socket;
  private readonly listener: InboxListener;
  private readonly turns: Turns;
  private unread: Buffer = Buffer.alloc(0);
  private open = true;
  private readonly turn = () => this.readSome();

  constructor(socket: Socket, listener: InboxListener, turns: Turns) {
    this.socket = socket;
    this.listener = listener;
    this.turns = turns;
    socket.on('data', (chunk: Buffer) => this.take(chunk));
  }

  /** Something waits for its turn. */
  get hasUnread(): boolean {
    return this.turns.waits(this.turn);
  }

  /** Reads all that has arrived, at once. */
  finish(): void {
    while (this.readOne());
    this.close();
  }

  /** Nothing is read any more. */
  close(): void {
    this.open = false;
    this.turns.leave(this.turn);
    this.unread = Buffer.alloc(0);
    // So that its end is seen.
    if (this.socket.isPaused()) this.socket.resume();
  }

  private take(chunk: Buffer): void {
    if (!this.open) return;
    this.unread = this.unread.length > 0 ? Buffer.concat([this.unread, chunk]) : chunk;
    if (this.unread.length > UNREAD_MAX) this.socket.pause();
    this.turns.ask(this.turn);
  }

  /** Whether there may be more. */
  private readSome(): boolean {
    const left = this.unread.length - READ_AT_ONCE;
    while (this.unread.length > left) if (!this.readOne()) break;
    const more = this.unread.length > 0 && this.unread.length <= left;
    if (!more && this.socket.isPaused()) this.socket.resume();
    return more;
  }

  private readOne(): boolean {
    if (!this.open || this.unread.length === 0) return false;
    const taken = takeMessage(this.unread, this.listener.octetsMax());
    if (!taken.ok) {
      this.close();
      this.listener.malformed(taken.error);
      return false;
    }
    if (!taken.value) return false;
    this.unread = this.unread.subarray(taken.value.length);
    this.listener.message(taken.value);
    return true;
  }
}
