// Prefixes as words of 32 bits: ranges to compare with, and where they stand in a table.
import { type Cidr, cidrFamily, networkOf, prefixLengthOf } from '../../../net/cidr.ts';
import { bitsOf, bytesOfIp } from '../../../net/ip.ts';

/** A range of addresses to compare prefixes with. */
export interface Range {
  /** Of 32 bits, signed. */
  readonly words: readonly number[];
  readonly bits: number;
}

/** The upper bits of a word: all of them for 32 and more, none for 0 and less. */
export const maskOf = (bits: number): number =>
  bits >= 32 ? -1 : bits <= 0 ? 0 : (-1 << (32 - bits)) | 0;

export function rangeOf(prefix: Cidr): Range {
  const bytes = bytesOfIp(networkOf(prefix));
  const view = new DataView(bytes.buffer);
  const words = Array.from({ length: bitsOf(cidrFamily(prefix)) / 32 }, (_, i) =>
    view.getInt32(i * 4),
  );
  return { words, bits: prefixLengthOf(prefix) };
}

// Networks that follow one another share a cache line: they are mostly announced together.
export function hashOfWord(word: number, bits: number): number {
  const network = bits === 0 ? 0 : word >>> (32 - bits);
  const group = Math.imul((network >>> 3) ^ (bits << 24), 0x9e3779b1);
  return ((group ^ (group >>> 15)) << 3) | (network & 7);
}
