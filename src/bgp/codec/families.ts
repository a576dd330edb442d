// Address families and prefixes on the wire (RFC 4760 section 3 and 5; RFC 4271 section 4.3).
//
//   | length in bits (1) | the prefix's octets, as many as the length needs |
import { type Cidr, cidrFamily, cidrOf, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bitsOf, bytesOfIp, type Family, ipFromBytes } from '../../net/ip.ts';
import { OutOfBounds, type Reader } from './reader.ts';

export const AFI_OF: Readonly<Record<Family, number>> = { 4: 1, 6: 2 };
export const SAFI_UNICAST = 1;

export const familyOfAfi = (afi: number): Family | undefined =>
  afi === 1 ? 4 : afi === 2 ? 6 : undefined;

export function encodePrefixes(prefixes: readonly Cidr[]): number[] {
  return prefixes.flatMap((prefix) => {
    const length = prefixLengthOf(prefix);
    return [length, ...bytesOfIp(networkOf(prefix)).subarray(0, Math.ceil(length / 8))];
  });
}

/** Octets that a prefix takes. */
export const prefixOctets = (prefix: Cidr): number => 1 + Math.ceil(prefixLengthOf(prefix) / 8);

/** Reads to the end. Bits beyond the length are cleared. Throws OutOfBounds on a bad length. */
export function decodePrefixes(reader: Reader, family: Family): readonly Cidr[] {
  const prefixes = new Set<Cidr>();
  while (reader.left > 0) {
    const length = reader.u8();
    if (length > bitsOf(family)) throw new OutOfBounds(`prefix length ${length}`);
    const bytes = new Uint8Array(bitsOf(family) / 8);
    bytes.set(reader.take(Math.ceil(length / 8)));
    prefixes.add(cidrOf(ipFromBytes(bytes), length));
  }
  return [...prefixes];
}

export const ofFamily = (prefixes: readonly Cidr[], family: Family): readonly Cidr[] =>
  prefixes.filter((prefix) => cidrFamily(prefix) === family);
