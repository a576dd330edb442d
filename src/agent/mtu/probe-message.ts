// What nodes ask one another: a datagram of the size in question, answered by a short one that repeats its
// token. An answer is never larger than the question, so nobody is flooded with them.

/** "ckmt". */
const MAGIC = 0x636b_6d74;
const [QUESTION, ANSWER] = [1, 2];
const BYTES = 16;
/** IPv4 and UDP headers. */
const HEADERS_BYTES = 28;

export interface ProbeMessage {
  readonly kind: 'question' | 'answer';
  readonly token: bigint;
}

/** A question whose IPv4 packet has that many octets. */
export function question(token: bigint, octets: number): Buffer {
  const bytes = Buffer.alloc(Math.max(BYTES, octets - HEADERS_BYTES));
  write(bytes, QUESTION, token);
  return bytes;
}

export function answer(token: bigint): Buffer {
  const bytes = Buffer.alloc(BYTES);
  write(bytes, ANSWER, token);
  return bytes;
}

function write(bytes: Buffer, kind: number, token: bigint): void {
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt8(kind, 4);
  bytes.writeBigUInt64BE(token, 8);
}

/** Undefined: it is none. */
export function readProbe(bytes: Buffer): ProbeMessage | undefined {
  if (bytes.length < BYTES || bytes.readUInt32BE(0) !== MAGIC) return undefined;
  const kind = bytes.readUInt8(4);
  if (kind !== QUESTION && kind !== ANSWER) return undefined;
  return { kind: kind === QUESTION ? 'question' : 'answer', token: bytes.readBigUInt64BE(8) };
}
