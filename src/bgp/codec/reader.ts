// Reading bytes with bounds: every read beyond the end throws `OutOfBounds`, and the decoder of the
// message family turns that into its NOTIFICATION. Nothing else in the codec may throw.
import { type Family, type Ip, ipFromBytes } from '../../net/ip.ts';

/** Thrown by a read beyond the end; never leaves the codec. */
export class OutOfBounds extends Error {}

export class Reader {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw new OutOfBounds(`${length} bytes wanted, ${this.left} left`);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u8(): number {
    return this.take(1)[0]!;
  }

  u16(): number {
    const bytes = this.take(2);
    return (bytes[0]! << 8) | bytes[1]!;
  }

  u32(): number {
    return this.u16() * 65536 + this.u16();
  }

  address(family: Family): Ip {
    return ipFromBytes(this.take(family === 4 ? 4 : 16));
  }

  /** A reader of the next `length` bytes. */
  part(length: number): Reader {
    return new Reader(this.take(length));
  }

  rest(): Uint8Array {
    return this.take(this.left);
  }
}

export const u16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
export const u32 = (value: number): number[] => [
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
