// The client's side of one HTTP/2 connection (RFC 9113) that carries gRPC calls: bytes in, bytes out.
// What arrives is consumed at once, so that windows are only given back; what is sent keeps to them.
import {
  contentOf,
  encodeFrame,
  encodeNumber,
  encodeSettings,
  FLAG,
  FRAME,
  type Frame,
  FrameReader,
  PAYLOAD_BYTES_MAX,
  PREFACE,
  SETTING,
  settingsIn,
  WINDOW_BYTES,
} from './frames.ts';
import { decodeHeaders } from './hpack.ts';
import { encodeMessage, MessageReader, statusMessage } from './messages.ts';

/** What the server may send before we give window back: of a stream and of the connection. */
const RECEIVE_WINDOW_BYTES = 1 << 24;
const HEADER_BLOCK_BYTES_MAX = 1 << 16;
const STREAM_MAX = 0x7fff_ffff;
const CANCEL = 8;
const OWED_MAX = 8;

/** gRPC status codes that arise here. */
export const STATUS = { OK: 0, UNKNOWN: 2, UNAVAILABLE: 14 } as const;

export interface Status {
  readonly code: number;
  readonly message: string;
}

export interface StreamListener {
  message(bytes: Buffer): void;
  /** Once, unless the stream was cancelled. */
  end(status: Status): void;
}

interface Stream {
  readonly id: number;
  readonly listener: StreamListener;
  readonly reader: MessageReader;
  /** Not sent yet. */
  outgoing: Buffer;
  /** No more than `outgoing` will be sent. */
  isLast: boolean;
  /** The server knows that it has everything. */
  isSent: boolean;
  window: number;
  /** Since window was given back. */
  received: number;
}

const NOTHING = Buffer.alloc(0);

export class Session {
  private readonly put: (bytes: Buffer) => void;
  private readonly owed: Buffer[] = [];
  private readonly reader = new FrameReader();
  private readonly streams = new Map<number, Stream>();
  private nextId = 1;
  private window = WINDOW_BYTES;
  private streamWindow = WINDOW_BYTES;
  private received = 0;
  private isLeaving = false;
  /** A block of headers that goes on in the next frame. */
  private partial: { readonly frame: Frame; readonly blocks: Buffer[] } | undefined;

  /** Writes the connection's beginning. */
  constructor(put: (bytes: Buffer) => void) {
    this.put = put;
    const settings = encodeSettings([
      [SETTING.HEADER_TABLE_SIZE, 0],
      [SETTING.ENABLE_PUSH, 0],
      [SETTING.INITIAL_WINDOW_SIZE, RECEIVE_WINDOW_BYTES],
    ]);
    const more = encodeNumber(FRAME.WINDOW_UPDATE, 0, RECEIVE_WINDOW_BYTES - WINDOW_BYTES);
    put(Buffer.concat([PREFACE, settings, more]));
  }

  /**
   * Whether answers to PINGs wait for the next write. etcd asks with every request, to measure; an
   * answer of its own would cost both sides as much as a request. They may wait a moment.
   */
  get owesAnswers(): boolean {
    return this.owed.length > 0;
  }

  flush(): void {
    if (this.owed.length > 0) this.put(Buffer.concat(this.owed.splice(0)));
  }

  private write(bytes: Buffer): void {
    this.put(this.owed.length === 0 ? bytes : Buffer.concat([bytes, ...this.owed.splice(0)]));
  }

  /** Whether it takes further streams. */
  get isOpen(): boolean {
    return !this.isLeaving && this.nextId <= STREAM_MAX;
  }

  get streamCount(): number {
    return this.streams.size;
  }

  /** A stream with its headers (encodeHeaders); with a message it is the only one. */
  open(headers: Buffer, listener: StreamListener, message?: Uint8Array): number {
    const id = this.nextId;
    this.nextId += 2;
    const stream: Stream = {
      id,
      listener,
      reader: new MessageReader(),
      outgoing: message ? encodeMessage(message) : NOTHING,
      isLast: message !== undefined,
      isSent: false,
      window: this.streamWindow,
      received: 0,
    };
    this.streams.set(id, stream);
    this.sendData(stream, [encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, id, headers)]);
    return id;
  }

  /** A further message; nothing when the stream has ended. */
  send(id: number, message: Uint8Array): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    stream.outgoing = Buffer.concat([stream.outgoing, encodeMessage(message)]);
    this.sendData(stream);
  }

  cancel(id: number): void {
    if (this.streams.delete(id)) this.write(encodeNumber(FRAME.RST_STREAM, id, CANCEL));
  }

  ping(): void {
    this.write(encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8)));
  }

  /** The connection is gone. */
  fail(message: string): void {
    this.isLeaving = true;
    for (const stream of [...this.streams.values()])
      this.finish(stream, { code: STATUS.UNAVAILABLE, message });
  }

  /** `bytes` may be overwritten afterwards. Throws what the server does wrong: the connection is lost. */
  receive(bytes: Buffer): void {
    for (const frame of this.reader.frames(bytes)) {
      if (this.partial && frame.type !== FRAME.CONTINUATION)
        throw new Error('HTTP/2: a block of headers is interrupted');
      this.take(frame);
    }
  }

  // Section 5.5: frames of other types are ignored.
  private take(frame: Frame): void {
    const { type, flags, payload } = frame;
    if (type === FRAME.DATA) this.takeData(frame);
    else if (type === FRAME.HEADERS || type === FRAME.CONTINUATION) this.takeHeaders(frame);
    else if (type === FRAME.WINDOW_UPDATE) this.takeWindow(frame);
    else if (type === FRAME.RST_STREAM) this.takeReset(frame);
    else if (type === FRAME.SETTINGS) this.takeSettings(frame);
    else if (type === FRAME.GOAWAY) this.takeLeave(frame);
    else if (type === FRAME.PUSH_PROMISE) throw new Error('HTTP/2: the server pushes');
    else if (type === FRAME.PING && (flags & FLAG.ACK) === 0) {
      this.owed.push(encodeFrame(FRAME.PING, FLAG.ACK, 0, payload));
      if (this.owed.length > OWED_MAX) this.flush();
    }
  }

  private takeData(frame: Frame): void {
    const { length } = frame.payload;
    const ends = (frame.flags & FLAG.END_STREAM) !== 0;
    this.received = this.giveBack(0, this.received + length);
    const stream = this.streams.get(frame.stream);
    if (!stream) return;
    stream.received = ends ? 0 : this.giveBack(stream.id, stream.received + length);
    for (const message of stream.reader.messages(contentOf(frame))) {
      stream.listener.message(message);
      if (!this.streams.has(stream.id)) return; // the listener cancelled it
    }
    if (ends) this.finish(stream, { code: STATUS.UNKNOWN, message: 'it ended without a status' });
  }

  // Answers what is still to be given back.
  private giveBack(id: number, received: number): number {
    if (received < RECEIVE_WINDOW_BYTES / 2) return received;
    this.write(encodeNumber(FRAME.WINDOW_UPDATE, id, received));
    return 0;
  }

  private takeHeaders(frame: Frame): void {
    const isFirst = frame.type === FRAME.HEADERS;
    const first = isFirst ? frame : this.partial?.frame;
    if (!first || first.stream !== frame.stream)
      throw new Error('HTTP/2: headers go on that did not begin');
    const content = isFirst ? contentOf(frame) : frame.payload;
    const blocks = [...(this.partial?.blocks ?? []), content];
    const size = blocks.reduce((sum, block) => sum + block.length, 0);
    if (size > HEADER_BLOCK_BYTES_MAX) throw new Error('HTTP/2: the headers are too large');
    this.partial = undefined;
    if ((frame.flags & FLAG.END_HEADERS) !== 0) {
      const fields = decodeHeaders(blocks.length === 1 ? content : Buffer.concat(blocks));
      this.takeFields(first, fields);
    } else {
      blocks[blocks.length - 1] = Buffer.from(content);
      this.partial = { frame: first, blocks };
    }
  }

  private takeFields({ stream: id, flags }: Frame, fields: ReadonlyMap<string, string>): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    const http = fields.get(':status') ?? '200';
    const code = fields.get('grpc-status');
    if (http !== '200' && code === undefined)
      this.finish(stream, { code: STATUS.UNAVAILABLE, message: `HTTP status ${http}` });
    else if ((flags & FLAG.END_STREAM) !== 0)
      this.finish(stream, {
        code: code === undefined ? STATUS.UNKNOWN : Number(code),
        message: statusMessage(
          fields.get('grpc-message') ?? (code ? '' : 'it ended without a status'),
        ),
      });
  }

  private takeReset({ stream: id, payload }: Frame): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    stream.isSent = true; // nothing is to be told any more
    const message = `the server reset the stream with error ${payload.readUInt32BE(0)}`;
    this.finish(stream, { code: STATUS.UNAVAILABLE, message });
  }

  private takeSettings({ flags, payload }: Frame): void {
    if ((flags & FLAG.ACK) !== 0) return;
    for (const [id, value] of settingsIn(payload)) {
      if (id !== SETTING.INITIAL_WINDOW_SIZE) continue;
      for (const stream of this.streams.values()) stream.window += value - this.streamWindow;
      this.streamWindow = value;
    }
    this.write(encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NOTHING));
    for (const stream of this.streams.values()) this.sendData(stream);
  }

  // Section 6.8: what is above its last stream was not looked at.
  private takeLeave({ payload }: Frame): void {
    this.isLeaving = true;
    const last = payload.readUInt32BE(0) & STREAM_MAX;
    const message = `the server goes away with error ${payload.readUInt32BE(4)}`;
    for (const stream of [...this.streams.values()])
      if (stream.id > last) this.finish(stream, { code: STATUS.UNAVAILABLE, message });
  }

  private takeWindow({ stream: id, payload }: Frame): void {
    const more = payload.readUInt32BE(0) & STREAM_MAX;
    if (id === 0) {
      this.window += more;
      for (const stream of this.streams.values()) this.sendData(stream);
      return;
    }
    const stream = this.streams.get(id);
    if (!stream) return;
    stream.window += more;
    this.sendData(stream);
  }

  // As much as the windows allow, in one write after `before`.
  private sendData(stream: Stream, before: readonly Buffer[] = []): void {
    const frames = [...before];
    while (stream.outgoing.length > 0) {
      const { outgoing, id, isLast } = stream;
      const size = Math.min(outgoing.length, PAYLOAD_BYTES_MAX, stream.window, this.window);
      if (size <= 0) break;
      stream.window -= size;
      this.window -= size;
      stream.outgoing = outgoing.subarray(size);
      stream.isSent = isLast && stream.outgoing.length === 0;
      const flags = stream.isSent ? FLAG.END_STREAM : 0;
      frames.push(encodeFrame(FRAME.DATA, flags, id, outgoing.subarray(0, size)));
    }
    if (frames.length > 0) this.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  // A server that ends a stream early need not wait for the rest of ours.
  private finish(stream: Stream, status: Status): void {
    if (!this.streams.delete(stream.id)) return;
    if (!stream.isSent) this.write(encodeNumber(FRAME.RST_STREAM, stream.id, CANCEL));
    stream.listener.end(status);
  }
}
