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
    const start = this.pass(length);
    return this.bytes.subarray(start, this.at);
  }

  /** Goes on by so many octets; answers where they begin. */
  private pass(length: number): number {
    const { at } = this;
    if (length > this.bytes.length - at)
      throw new OutOfBounds(`${length} bytes wanted, ${this.left} left`);
    this.at = at + length;
    return at;
  }

  u8(): number {
    return this.bytes[this.pass(1)]!;
  }

  u16(): number {
    const at = this.pass(2);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u32(): number {
    const { bytes } = this;
    const at = this.pass(4);
    const low = (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    return bytes[at]! * 0x1000000 + low;
  }

  /** All that is left, in groups of so many words of 32 bits. */
  words(group: number): Uint32Array {
    const words = new Uint32Array(this.left >> 2);
    if (words.length % group !== 0 || words.length * 4 !== this.left)
      throw new OutOfBounds(`${this.left} bytes are no groups of ${group} words`);
    for (let i = 0; i < words.length; i++) words[i] = this.u32();
    return words;
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
