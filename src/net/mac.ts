import { assert } from '../base/assert.ts';
import type { Brand } from '../base/brand.ts';

/** A hardware address, `aa:bb:cc:dd:ee:ff` in lower case. */
export type Mac = Brand<string, 'Mac'>;

export function parseMac(text: string): Mac | undefined {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) ? (text.toLowerCase() as Mac) : undefined;
}

/** The address, which must parse. */
export function mac(text: string): Mac {
  const parsed = parseMac(text);
  assert(parsed !== undefined, `'${text}' is a MAC address`);
  return parsed;
}

/** Six bytes. */
export const bytesOfMac = (m: Mac): Uint8Array =>
  Uint8Array.from(m.split(':').map((b) => Number.parseInt(b, 16)));

export const macFromBytes = (bytes: Uint8Array): Mac =>
  [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(':') as Mac;
