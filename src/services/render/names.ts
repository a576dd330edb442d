// Chain names: a prefix and the beginning of a hash (proxier.go, portProtoHash).
import { digest } from '../../base/hash.ts';

/** RFC 4648, section 6. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** Five octets are eight digits; two such groups are all that is needed. */
const GROUPS = [0, 5];
const SHIFTS = [15, 10, 5, 0];

/** The first 16 digits of SHA-256 in base32. Numbers of 20 bits, for this is done for every chain. */
export function hash16(text: string): string {
  const octets = digest('sha256', text);
  let digits = '';
  for (const at of GROUPS) {
    const octet = (i: number): number => octets[at + i]!;
    const high = (octet(0) << 12) | (octet(1) << 4) | (octet(2) >> 4);
    const low = ((octet(2) & 15) << 16) | (octet(3) << 8) | octet(4);
    for (const half of [high, low])
      for (const shift of SHIFTS) digits += ALPHABET[(half >> shift) & 31];
  }
  return digits;
}
