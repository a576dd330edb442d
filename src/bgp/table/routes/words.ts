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

/**
 * Whether a prefix holds no host's address that a route could lead to: loopback, link-local,
 * multicast, and what means no host at all. Class E is routed here and there, and may be.
 */
export function isNobodys(words: Int32Array, base: number, bits: number, width: number): boolean {
  const word = words[base]!;
  if (width === 1) {
    const first = word >>> 24;
    if (first >= 224) return first < 240 ? bits >= 4 : bits === 32 && word === -1;
    if (first === 127 || first === 0) return bits >= 8;
    return word >>> 16 === 0xa9fe && bits >= 16;
  }
  if (word >>> 24 === 0xff) return bits >= 8;
  if (word >>> 22 === 0x3fa) return bits >= 10;
  // The unspecified address, loopback, and IPv4 in disguise.
  return (
    word === 0 && bits >= 96 && words[base + 1] === 0 && (words[base + 2]! | 0xffff) === 0xffff
  );
}
