// The next prefixes of a message as words, so many that their places in memory can be fetched side by
// side: each by itself would be waited for.
import { bitsOf, type Family } from '../../../net/ip.ts';
import { octetsOfBits } from '../../codec/nlri.ts';
import { AHEAD } from './slots.ts';
import { isNobodys, maskOf } from './words.ts';

export class Upcoming {
  count = 0;
  /** Some of them hold no host's address. */
  hasNobodys = false;
  /** Of each as many as an address has. */
  readonly words: Int32Array;
  readonly bits = new Uint8Array(AHEAD);
  /** RFC 7911; 0 without it. */
  readonly pathIds = new Uint32Array(AHEAD);
  /** What numbers they have; -1: none. */
  readonly ids = new Int32Array(AHEAD);
  private readonly width: number;

  constructor(family: Family) {
    this.width = bitsOf(family) / 32;
    this.words = new Int32Array(AHEAD * this.width);
  }

  /** Reads some from `from` on; answers where the one behind them begins. */
  read(bytes: Uint8Array, from: number, end: number, addPath: boolean): number {
    return this.width === 1
      ? this.readNarrow(bytes, from, end, addPath)
      : this.readWide(bytes, from, end, addPath);
  }

  private readNarrow(bytes: Uint8Array, from: number, end: number, addPath: boolean): number {
    const { words, bits: lengths } = this;
    let [at, count, nobodys] = [from, 0, false];
    for (; count < AHEAD && at < end; count++) {
      if (addPath) at = this.readPathId(bytes, at, count);
      const bits = bytes[at]!;
      words[count] = wordAt(bytes, at + 1) & maskOf(bits);
      lengths[count] = bits;
      nobodys ||= isNobodys(words, count, bits, 1);
      at += 1 + octetsOfBits(bits);
    }
    this.count = count;
    this.hasNobodys = nobodys;
    return at;
  }

  private readWide(bytes: Uint8Array, from: number, end: number, addPath: boolean): number {
    const { words, bits: lengths, width } = this;
    let [at, count, nobodys] = [from, 0, false];
    for (; count < AHEAD && at < end; count++) {
      if (addPath) at = this.readPathId(bytes, at, count);
      const bits = bytes[at]!;
      const base = count * width;
      for (let i = 0; i < width; i++)
        words[base + i] =
          bits <= i * 32 ? 0 : wordAt(bytes, at + 1 + i * 4) & maskOf(bits - i * 32);
      lengths[count] = bits;
      nobodys ||= isNobodys(words, base, bits, width);
      at += 1 + octetsOfBits(bits);
    }
    this.count = count;
    this.hasNobodys = nobodys;
    return at;
  }

  private readPathId(bytes: Uint8Array, at: number, place: number): number {
    this.pathIds[place] = wordAt(bytes, at);
    return at + 4;
  }
}

// What stands behind a short prefix, or behind the message, is masked away.
const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
