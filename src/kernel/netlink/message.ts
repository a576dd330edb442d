// Netlink messages and attributes: a writer and readers, pure, for little-endian machines (as every
// machine that runs the images is).

/** Message types of the protocol itself (linux/netlink.h). */
export const NLMSG = { ERROR: 2, DONE: 3 } as const;
/** Header flags. */
export const NLM = {
  REQUEST: 0x1,
  ACK: 0x4,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  DUMP: 0x300,
} as const;
/** Flag of a dump's message: the table changed meanwhile, ask again (NLM_F_DUMP_INTR). */
export const DUMP_INTERRUPTED = 0x10;
/** Length, type, flags, sequence, port. */
export const HEADER_BYTES = 16;
/** Header flag of an ACK that carries attributes (an error text). */
const ACK_TLVS = 0x200;
const ATTRIBUTE_TYPE = 0x3fff;

const align = (n: number): number => (n + 3) & ~3;

/** Writes messages one behind the other into one buffer; a write past its end throws. */
export class MessageWriter {
  private readonly buffer: Buffer;
  private length = 0;

  constructor(bytes = 8192) {
    this.buffer = Buffer.alloc(bytes);
  }

  /** How much is written. */
  get bytes(): number {
    return this.length;
  }

  u8(value: number): this {
    this.length = this.buffer.writeUInt8(value, this.length);
    return this;
  }

  u16(value: number): this {
    this.length = this.buffer.writeUInt16LE(value, this.length);
    return this;
  }

  u32(value: number): this {
    this.length = this.buffer.writeUInt32LE(value >>> 0, this.length);
    return this;
  }

  message(type: number, flags: number, sequence: number, body: () => void): this {
    const start = this.length;
    this.u32(0).u16(type).u16(flags).u32(sequence).u32(0);
    body();
    this.buffer.writeUInt32LE(this.length - start, start);
    return this;
  }

  /** The message that begins there is answered only when it is refused. */
  silence(start: number): void {
    this.buffer.writeUInt16LE(this.buffer.readUInt16LE(start + 6) & ~NLM.ACK, start + 6);
  }

  attribute(type: number, value: Uint8Array): this {
    this.u16(4 + value.length).u16(type);
    this.buffer.set(value, this.length);
    this.length = align(this.length + value.length);
    return this;
  }

  attribute32(type: number, value: number): this {
    return this.u16(8).u16(type).u32(value);
  }

  attributeText(type: number, value: string): this {
    return this.attribute(type, Buffer.from(`${value}\0`));
  }

  nested(type: number, body: () => void): this {
    const start = this.length;
    this.u16(0).u16(type);
    body();
    this.buffer.writeUInt16LE(this.length - start, start);
    return this;
  }

  /** A structure that begins with its length. */
  sized(body: () => void): this {
    const start = this.length;
    this.u16(0);
    body();
    this.buffer.writeUInt16LE(this.length - start, start);
    return this;
  }

  finish(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

/** `body` is a view of the datagram: copy what must outlive the next read. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The socket that asked, also of what others are told of its changes; 0: the kernel by itself. */
  readonly port: number;
  readonly body: Buffer;
}

/** The messages of one datagram; what is cut short is left out. */
export function* messagesIn(datagram: Buffer): Generator<Message> {
  for (let at = 0; at + HEADER_BYTES <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      port: datagram.readUInt32LE(at + 12),
      body: datagram.subarray(at + HEADER_BYTES, at + length),
    };
    at += align(length);
  }
}

/** Attributes from `offset` on, by type; of many, those that are `wanted`. */
export function attributesOf(
  body: Buffer,
  offset = 0,
  wanted?: ReadonlySet<number>,
): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = offset; at + 4 <= body.length; ) {
    // By hand: the agent's first dumps run before any of this is compiled.
    const length = body[at]! | (body[at + 1]! << 8);
    if (length < 4 || at + length > body.length) break;
    const type = (body[at + 2]! | (body[at + 3]! << 8)) & ATTRIBUTE_TYPE;
    if (wanted?.has(type) ?? true) found.set(type, body.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
}

/** What a list of attributes of one type holds. */
export function* elementsOf(list: Buffer): Generator<Buffer> {
  for (let at = 0; at + 4 <= list.length; ) {
    const length = list.readUInt16LE(at);
    if (length < 4 || at + length > list.length) return;
    yield list.subarray(at + 4, at + length);
    at += align(length);
  }
}

/** Text of an attribute, without its trailing NUL. */
export const textOf = (bytes: Buffer | undefined): string =>
  bytes === undefined ? '' : bytes.toString('latin1').replace(/\0.*$/s, '');

/** An ACK: errno (0 is success), and the kernel's words where it has some. */
export function ackOf({ flags, body }: Message): { readonly errno: number; readonly text: string } {
  const errno = body.length >= 4 ? 0 - body.readInt32LE(0) : 5;
  const text = flags & ACK_TLVS ? textOf(attributesOf(body, 4 + HEADER_BYTES).get(1)) : '';
  return { errno, text };
}
