import type { Brand } from '../base/brand.ts';

/** An AS number, 1 to 4294967295 (RFC 6793). */
export type Asn = Brand<number, 'Asn'>;

/** Parses asplain (`4200000000`) or asdot (`64086.59904`) text or a number (RFC 5396). */
export function parseAsn(value: string | number): Asn | undefined {
  const dotted = /^(\d{1,5})\.(\d{1,5})$/.exec(String(value));
  const n = dotted ? Number(dotted[1]) * 65536 + Number(dotted[2]) : Number(value);
  if (dotted && (Number(dotted[1]) > 65535 || Number(dotted[2]) > 65535)) return undefined;
  return Number.isInteger(n) && n >= 1 && n <= 0xffffffff ? (n as Asn) : undefined;
}

/** AS_TRANS, stands for a 4-octet AS number in 2-octet fields (RFC 6793 section 9). */
export const AS_TRANS = 23456;
