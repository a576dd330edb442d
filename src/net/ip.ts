// IP addresses as canonical text, v4 and v6 alike. Text is the natural key of maps, of etcd and
// of JSON; arithmetic goes through the bytes' integer value.
import { assert } from '../base/assert.ts';
import type { Brand } from '../base/brand.ts';

/** A canonical address: dotted quad, or RFC 5952 text. */
export type Ip = Brand<string, 'Ip'>;
export type Family = 4 | 6;

/** Address length in bits. */
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);
export const familyOf = (ip: Ip): Family => (ip.includes(':') ? 6 : 4);

/** Parses an address; undefined when the text is none. Octets with leading zeros are refused. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) return parseIpv4(text);
  const bytes = bytesOfIpv6(text);
  return bytes && ipFromBytes(bytes);
}

/** The address, which must parse. For constants and for text that was checked before. */
export function ip(text: string): Ip {
  const parsed = parseIp(text);
  assert(parsed !== undefined, `'${text}' is an IP address`);
  return parsed;
}

function parseIpv4(text: string): Ip | undefined {
  const octets = text.split('.');
  const good = octets.length === 4 && octets.every((o) => /^(0|[1-9]\d{0,2})$/.test(o) && +o < 256);
  return good ? (text as Ip) : undefined;
}

function bytesOfIpv6(text: string): Uint8Array | undefined {
  const tail = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail) {
    const v4 = parseIpv4(tail[2]!);
    if (!v4) return undefined;
    const [a, b, c, d] = v4.split('.').map(Number) as [number, number, number, number];
    return bytesOfIpv6(`${tail[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = (half: string | undefined) => (half ? half.split(':') : []);
  const [head, rest] = [groups(halves[0]), groups(halves[1])];
  const missing = 8 - head.length - rest.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array<string>(missing).fill('0'), ...rest];
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return Uint8Array.from(
    all.flatMap((g) => [Number.parseInt(g, 16) >> 8, Number.parseInt(g, 16) & 255]),
  );
}

/** Network byte order, 4 or 16 bytes. */
export function bytesOfIp(address: Ip): Uint8Array {
  if (familyOf(address) === 4) {
    const value = valueOfIpv4(address);
    return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
  }
  const bytes = bytesOfIpv6(address);
  assert(bytes, `${address} is canonical`);
  return bytes;
}

/** An IPv4 address as an unsigned integer. */
export function valueOfIpv4(address: Ip): number {
  let [value, octet] = [0, 0];
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === DOT) [value, octet] = [(value << 8) | octet, 0];
    else octet = octet * 10 + code - ZERO;
  }
  return ((value << 8) | octet) >>> 0;
}

const [DOT, ZERO] = [46, 48];

/** The IPv4 address of an unsigned integer. */
export const ipv4FromValue = (value: number): Ip =>
  `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}` as Ip;

/** The address of 4 or 16 bytes in network order. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip;
  assert(bytes.length === 16, 'an address has 4 or 16 bytes');
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  const text = groups.map((group) => group.toString(16)).join(':');
  return shortenZeros(groups, text) as Ip;
}

// RFC 5952 section 4.2: the longest run of two or more zero groups, the first one if equal.
function shortenZeros(groups: readonly number[], text: string): string {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return text;
  const parts = text.split(':');
  const head = parts.slice(0, best.start).join(':');
  return `${head}::${parts.slice(best.start + best.length).join(':')}`;
}

/** The address as an unsigned integer. */
export function valueOfIp(address: Ip): bigint {
  let value = 0n;
  for (const byte of bytesOfIp(address)) value = (value << 8n) | BigInt(byte);
  return value;
}

/** The address of an unsigned integer. */
export function ipFromValue(value: bigint, family: Family): Ip {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  let rest = value;
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return ipFromBytes(bytes);
}

/** Orders by family, then numerically. */
export function compareIp(a: Ip, b: Ip): number {
  const byFamily = familyOf(a) - familyOf(b);
  if (byFamily !== 0) return byFamily;
  const [x, y] = [valueOfIp(a), valueOfIp(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}
