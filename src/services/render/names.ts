// Chain names: a prefix and the beginning of a hash (proxier.go, portProtoHash).
import { digest } from '../../base/hash.ts';

/** RFC 4648, section 6. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const DIGITS = 16;
const BITS = 5;

/** The first digits of SHA-256 in base32; ten octets hold them. */
export function hash16(text: string): string {
  let rest = 0n;
  for (const octet of digest('sha256', text).subarray(0, (DIGITS * BITS) / 8))
    rest = (rest << 8n) | BigInt(octet);
  let digits = '';
  for (let i = DIGITS - 1; i >= 0; i--)
    digits += ALPHABET[Number((rest >> BigInt(BITS * i)) & 31n)];
  return digits;
}
