// HTTP/2 frames (RFC 9113, section 4 and 6), as far as a gRPC client meets them.

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
} as const;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const HEAD_BYTES = 9;
/** What each side takes unless it says otherwise (section 4.2): we do not. */
export const PAYLOAD_BYTES_MAX = 1 << 14;
/** Until a side says otherwise (section 6.9.2). */
export const WINDOW_BYTES = (1 << 16) - 1;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** Lies in the bytes that were read: to be copied if it is kept. */
  readonly payload: Buffer;
}

/** Writes a frame's head; answers where its payload begins. */
export function writeHead(
  into: Buffer,
  at: number,
  { type, flags, stream, length }: Omit<Frame, 'payload'> & { readonly length: number },
): number {
  into.writeUIntBE(length, at, 3);
  into[at + 3] = type;
  into[at + 4] = flags;
  into.writeUInt32BE(stream, at + 5);
  return at + HEAD_BYTES;
}

export function encodeFrame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payload.length);
  payload.copy(frame, writeHead(frame, 0, { type, flags, stream, length: payload.length }));
  return frame;
}

export function encodeSettings(
  settings: readonly (readonly [id: number, value: number])[],
): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  for (const [i, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return encodeFrame(FRAME.SETTINGS, 0, 0, payload);
}

export function* settingsIn(payload: Buffer): Generator<readonly [id: number, value: number]> {
  for (let at = 0; at + 6 <= payload.length; at += 6)
    yield [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
}

/** Of RST_STREAM and WINDOW_UPDATE: one number. */
export function encodeNumber(type: number, stream: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return encodeFrame(type, 0, stream, payload);
}

/** Of DATA and HEADERS, without padding and priority. Throws when they do not fit. */
export function contentOf({ type, flags, payload }: Frame): Buffer {
  const padded = (flags & FLAG.PADDED) !== 0;
  const prioritized = type === FRAME.HEADERS && (flags & FLAG.PRIORITY) !== 0;
  const start = (padded ? 1 : 0) + (prioritized ? 5 : 0);
  const end = payload.length - (padded ? (payload[0] ?? 0) : 0);
  if (start > end) throw new Error('HTTP/2: a frame is shorter than its padding');
  return start === 0 && end === payload.length ? payload : payload.subarray(start, end);
}

const NOTHING = Buffer.alloc(0);

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  private rest: Buffer = NOTHING;

  /** `chunk` may be overwritten after the last frame was taken. Throws on a frame that is too large. */
  *frames(chunk: Buffer): Generator<Frame> {
    const bytes = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= HEAD_BYTES) {
      const length = bytes.readUIntBE(at, 3);
      if (length > PAYLOAD_BYTES_MAX) throw new Error('it does not speak HTTP/2');
      const end = at + HEAD_BYTES + length;
      if (end > bytes.length) break;
      yield {
        type: bytes[at + 3]!,
        flags: bytes[at + 4]!,
        stream: bytes.readUInt32BE(at + 5) & 0x7fff_ffff,
        payload: bytes.subarray(at + HEAD_BYTES, end),
      };
      at = end;
    }
    this.rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }
}
