// etcd's TxnRequest in protobuf's encoding, written by hand: it is the one large message that every
// ADD and DEL waits for. From the end to the beginning, so that a length is known when it is written.
import type { Compare, Write } from './store.ts';

/** Keys of fields of length: number << 3 | 2 (protobuf encoding, "Message structure"). */
const TXN = { COMPARE: 0x0a, SUCCESS: 0x12, FAILURE: 0x1a } as const;
const OPERATION = { RANGE: 0x0a, PUT: 0x12, DELETE: 0x1a } as const;
const KEY = 0x0a;
const VALUE = 0x12;
/** Of Compare; the numbers' keys end in 0. CompareTarget MOD is 2, CompareResult EQUAL is 0, the default. */
const COMPARE = { TARGET: 0x10, KEY: 0x1a, MOD_REVISION: 0x30 } as const;
const MOD = 2;
/** Most that a compare with its read, or a write, takes besides its texts. */
const OVERHEAD_BYTES = 64;

/** If every key is at its revision, the writes; else the keys are read. */
export function encodeTransaction(compares: readonly Compare[], writes: readonly Write[]): Buffer {
  const writer = new BackwardWriter(sizeAtMost(compares, writes));
  for (const { key } of compares.toReversed())
    writer.message(TXN.FAILURE, () => writer.message(OPERATION.RANGE, () => writer.text(KEY, key)));
  for (const write of writes.toReversed())
    writer.message(TXN.SUCCESS, () => operation(writer, write));
  for (const { key, revision } of compares.toReversed())
    writer.message(TXN.COMPARE, () => {
      writer.number(COMPARE.MOD_REVISION, revision);
      writer.text(COMPARE.KEY, key);
      writer.number(COMPARE.TARGET, BigInt(MOD));
    });
  return writer.finish();
}

function operation(writer: BackwardWriter, write: Write): void {
  if (write.kind === 'put')
    writer.message(OPERATION.PUT, () => {
      writer.text(VALUE, write.value);
      writer.text(KEY, write.key);
    });
  else writer.message(OPERATION.DELETE, () => writer.text(KEY, write.key));
}

function sizeAtMost(compares: readonly Compare[], writes: readonly Write[]): number {
  let size = (compares.length + writes.length) * OVERHEAD_BYTES;
  for (const { key } of compares) size += 2 * Buffer.byteLength(key);
  for (const write of writes)
    size +=
      Buffer.byteLength(write.key) + (write.kind === 'put' ? Buffer.byteLength(write.value) : 0);
  return size;
}

class BackwardWriter {
  private readonly bytes: Buffer;
  private at: number;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafe(size);
    this.at = size;
  }

  finish(): Buffer {
    return this.bytes.subarray(this.at);
  }

  message(key: number, write: () => void): void {
    const end = this.at;
    write();
    this.length(end - this.at);
    this.bytes[--this.at] = key;
  }

  /** Left out when empty: that is the default. */
  text(key: number, text: string): void {
    const length = Buffer.byteLength(text);
    if (length === 0) return;
    this.at -= length;
    this.bytes.write(text, this.at, 'utf8');
    this.length(length);
    this.bytes[--this.at] = key;
  }

  number(key: number, value: bigint): void {
    let size = 1;
    for (let rest = value >> 7n; rest > 0n; rest >>= 7n) size++;
    this.at -= size;
    for (let i = 0, rest = value; i < size; i++, rest >>= 7n)
      this.bytes[this.at + i] = Number(rest & 127n) | (i < size - 1 ? 128 : 0);
    this.bytes[--this.at] = key;
  }

  // A varint of less than 2^31.
  private length(value: number): void {
    let size = 1;
    for (let rest = value >>> 7; rest > 0; rest >>>= 7) size++;
    this.at -= size;
    for (let i = 0, rest = value; i < size; i++, rest >>>= 7)
      this.bytes[this.at + i] = (rest & 127) | (i < size - 1 ? 128 : 0);
  }
}
