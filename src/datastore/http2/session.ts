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
import { HeaderBlocks, type Headers } from './header-blocks.ts';
import { encodeMessage, MessageReader, statusMessage } from './messages.ts';
import { STATUS, type Status, type Stream, type StreamListener } from './stream.ts';

/** What the server may send before we give window back: of a stream and of the connection. */
const RECEIVE_WINDOW_BYTES = 1 << 24;
const STREAM_MAX = 0x7fff_ffff;
const REFUSED_STREAM = 7;
const CANCEL = 8;
const OWED_MAX = 8;

const NOTHING = Buffer.alloc(0);

export class Session {
  private readonly put: (bytes: Buffer) => void;
  private readonly owed: Buffer[] = [];
  private readonly reader = new FrameReader();
  private readonly streams = new Map<number, Stream>();
  /** First come, first begun. */
  private readonly waiting = new Set<Stream>();
  /** At a time; without a limit until the server tells one (section 5.1.2). */
  private streamsMax = Number.POSITIVE_INFINITY;
  private nextId = 1;
  private window = WINDOW_BYTES;
  private streamWindow = WINDOW_BYTES;
  private received = 0;
  private isLeaving = false;
  private readonly headerBlocks = new HeaderBlocks();

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
  open(headers: Buffer, listener: StreamListener, message?: Uint8Array): Stream {
    const stream: Stream = {
      id: 0,
      headers,
      listener,
      reader: new MessageReader(),
      outgoing: message ? encodeMessage(message) : NOTHING,
      isLast: message !== undefined,
      isSent: false,
      window: 0,
      received: 0,
    };
    this.waiting.add(stream);
    this.beginWaiting();
    return stream;
  }

  private beginWaiting(): void {
    for (const stream of this.waiting) {
      if (!this.isOpen || this.streams.size >= this.streamsMax) return;
      this.waiting.delete(stream);
      stream.id = this.nextId;
      this.nextId += 2;
      stream.window = this.streamWindow;
      this.streams.set(stream.id, stream);
      const { id, headers } = stream;
      this.sendData(stream, [encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, id, headers)]);
    }
  }

  private refuseWaiting(message: string): void {
    const refused = [...this.waiting];
    this.waiting.clear();
    for (const { listener } of refused)
      listener.end({ code: STATUS.UNAVAILABLE, message, isUntouched: true });
  }

  /** A further message; nothing when the stream has ended. */
  send(stream: Stream, message: Uint8Array): void {
    if (!this.streams.has(stream.id) && !this.waiting.has(stream)) return;
    stream.outgoing = Buffer.concat([stream.outgoing, encodeMessage(message)]);
    if (stream.id > 0) this.sendData(stream);
  }

  cancel(stream: Stream): void {
    if (this.waiting.delete(stream) || !this.streams.delete(stream.id)) return;
    this.write(encodeNumber(FRAME.RST_STREAM, stream.id, CANCEL));
    this.beginWaiting();
  }

  ping(): void {
    this.write(encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8)));
  }

  /** The connection is gone. */
  fail(message: string): void {
    this.isLeaving = true;
    for (const stream of [...this.streams.values()])
      this.finish(stream, { code: STATUS.UNAVAILABLE, message });
    this.refuseWaiting(message);
  }

  /** `bytes` may be overwritten afterwards. Throws what the server does wrong: the connection is lost. */
  receive(bytes: Buffer): void {
    for (const frame of this.reader.frames(bytes)) {
      this.headerBlocks.mayCome(frame);
      this.take(frame);
    }
  }

  // Section 5.5: frames of other types are ignored.
  private take(frame: Frame): void {
    const { type, flags, payload } = frame;
    if (type === FRAME.DATA) this.takeData(frame);
    else if (type === FRAME.HEADERS || type === FRAME.CONTINUATION)
      this.takeFields(this.headerBlocks.take(frame));
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

  private takeFields(headers: Headers | undefined): void {
    const stream = headers && this.streams.get(headers.frame.stream);
    if (!stream) return;
    const { frame, fields } = headers;
    const http = fields.get(':status') ?? '200';
    const code = fields.get('grpc-status');
    if (http !== '200' && code === undefined)
      this.finish(stream, { code: STATUS.UNAVAILABLE, message: `HTTP status ${http}` });
    else if ((frame.flags & FLAG.END_STREAM) !== 0)
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
    const error = payload.readUInt32BE(0);
    const message = `the server reset the stream with error ${error}`;
    const refused = error === REFUSED_STREAM ? ({ isUntouched: true } as const) : {};
    this.finish(stream, { code: STATUS.UNAVAILABLE, message, ...refused });
  }

  private takeSettings({ flags, payload }: Frame): void {
    if ((flags & FLAG.ACK) !== 0) return;
    for (const [id, value] of settingsIn(payload)) {
      if (id === SETTING.MAX_CONCURRENT_STREAMS) this.streamsMax = value;
      if (id !== SETTING.INITIAL_WINDOW_SIZE) continue;
      for (const stream of this.streams.values()) stream.window += value - this.streamWindow;
      this.streamWindow = value;
    }
    this.write(encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, NOTHING));
    for (const stream of this.streams.values()) this.sendData(stream);
    this.beginWaiting();
  }

  // Section 6.8: what is above its last stream was not looked at.
  private takeLeave({ payload }: Frame): void {
    this.isLeaving = true;
    const last = payload.readUInt32BE(0) & STREAM_MAX;
    const message = `the server goes away with error ${payload.readUInt32BE(4)}`;
    for (const stream of [...this.streams.values()])
      if (stream.id > last)
        this.finish(stream, { code: STATUS.UNAVAILABLE, message, isUntouched: true });
    this.refuseWaiting(message);
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
    this.beginWaiting();
  }
}
