// Prefixes on the wire without making values of them, for the table's fast path (RFC 4271 section
// 4.3, RFC 4760 section 5, RFC 7911 section 3).
//
//   | path identifier (4), with add-path only | length in bits (1) | octets, as many as it needs |

/** Octets that a prefix of so many bits takes behind its length octet. */
export const octetsOfBits = (bits: number): number => (bits + 7) >> 3;

/** Whether the span holds whole prefixes of at most `bitsMax` bits and nothing else. */
export function areWholePrefixes(
  bytes: Uint8Array,
  { start, end }: Span,
  bitsMax: number,
  addPath: boolean,
): boolean {
  let at = start;
  while (at < end) {
    if (addPath) at += 4;
    if (at >= end) return false;
    const bits = bytes[at]!;
    if (bits > bitsMax) return false;
    at += 1 + octetsOfBits(bits);
  }
  return at === end;
}

/** Octets `start` to `end` of a message; the end is not part of it. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export const isEmpty = ({ start, end }: Span): boolean => start === end;
