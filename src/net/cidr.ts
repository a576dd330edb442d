// Prefixes as canonical text `<network>/<length>`, host bits zero.
import { assert } from '../base/assert.ts';
import type { Brand } from '../base/brand.ts';
import {
  bitsOf,
  type Family,
  familyOf,
  type Ip,
  ipFromValue,
  ipv4FromValue,
  parseIp,
  valueOfIp,
  valueOfIpv4,
} from './ip.ts';

/** A canonical prefix; host bits are zero. */
export type Cidr = Brand<string, 'Cidr'>;

/** The address and length of an interface address such as `192.168.81.101/24`; host bits kept. */
export interface InterfaceAddress {
  readonly ip: Ip;
  readonly prefixLength: number;
}

/** Parses `address/length`; undefined when it is none. */
export function parseInterfaceAddress(text: string): InterfaceAddress | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const ip = match && parseIp(match[1]!);
  if (!ip) return undefined;
  const prefixLength = Number(match[2]);
  return prefixLength <= bitsOf(familyOf(ip)) ? { ip, prefixLength } : undefined;
}

/** `address/length`. */
export const printInterfaceAddress = ({ ip, prefixLength }: InterfaceAddress): string =>
  `${ip}/${prefixLength}`;

/** Parses a prefix and clears its host bits; a bare address is a full-length prefix. */
export function parseCidr(text: string): Cidr | undefined {
  const bare = text.includes('/') ? undefined : parseIp(text);
  if (bare) return hostCidr(bare);
  const parsed = parseInterfaceAddress(text);
  return parsed && cidrOf(parsed.ip, parsed.prefixLength);
}

/** The prefix, which must parse. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  assert(parsed !== undefined, `'${text}' is a CIDR`);
  return parsed;
}

/** The prefix of that length which holds `ip`. */
export function cidrOf(ip: Ip, prefixLength: number): Cidr {
  const family = familyOf(ip);
  if (family === 4) {
    const mask = prefixLength === 0 ? 0 : -1 << (32 - prefixLength);
    return `${ipv4FromValue(valueOfIpv4(ip) & mask)}/${prefixLength}` as Cidr;
  }
  const hostBits = BigInt(bitsOf(family) - prefixLength);
  const network = ipFromValue((valueOfIp(ip) >> hostBits) << hostBits, family);
  return `${network}/${prefixLength}` as Cidr;
}

/** `/32` or `/128`. */
export const hostCidr = (ip: Ip): Cidr => `${ip}/${bitsOf(familyOf(ip))}` as Cidr;
export const networkOf = (c: Cidr): Ip => c.slice(0, c.indexOf('/')) as Ip;
export const cidrFamily = (c: Cidr): Family => (c.includes(':') ? 6 : 4);

export function prefixLengthOf(c: Cidr): number {
  let length = 0;
  for (let at = c.indexOf('/') + 1; at < c.length; at++)
    length = length * 10 + c.charCodeAt(at) - ZERO;
  return length;
}

const ZERO = 48;

/** Number of addresses. */
export const sizeOf = (c: Cidr): bigint => 1n << BigInt(bitsOf(cidrFamily(c)) - prefixLengthOf(c));

/** The address at `ordinal`, counted from the network address. */
export function ipAt(c: Cidr, ordinal: number | bigint): Ip {
  assert(BigInt(ordinal) < sizeOf(c), `ordinal ${ordinal} lies in ${c}`);
  return ipFromValue(valueOfIp(networkOf(c)) + BigInt(ordinal), cidrFamily(c));
}

/** The ordinal of an address, which must lie in the prefix. */
export function ordinalOf(c: Cidr, ip: Ip): number {
  assert(contains(c, ip), `${ip} lies in ${c}`);
  return Number(valueOfIp(ip) - valueOfIp(networkOf(c)));
}

export function contains(c: Cidr, ip: Ip): boolean {
  const family = cidrFamily(c);
  if (familyOf(ip) !== family) return false;
  const length = prefixLengthOf(c);
  if (family === 6) return cidrOf(ip, length) === c;
  const mask = length === 0 ? 0 : -1 << (32 - length);
  return ((valueOfIpv4(ip) ^ valueOfIpv4(networkOf(c))) & mask) === 0;
}

/** Whether `inner` lies within `outer` (or equals it). */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return prefixLengthOf(inner) >= prefixLengthOf(outer) && contains(outer, networkOf(inner));
}
