// What an operator tells the other side when a session is shut down or reset (RFC 9003, which allows
// 255 octets where RFC 8203 allowed 128).
//
//   | length (1) | UTF-8 ... |      the data of Cease / Administrative Shutdown or Reset
import type { Notification } from './notification.ts';

const CEASE = 6;
const WITH_TEXT: readonly number[] = [2, 4];
const TEXT_OCTETS_MAX = 255;

/** The data of a NOTIFICATION; a text that is too long loses its end, at a character's border. */
export function shutdownData(text: string): Uint8Array {
  const octets = new Uint8Array(TEXT_OCTETS_MAX);
  const { written } = new TextEncoder().encodeInto(text, octets);
  return Uint8Array.from([written, ...octets.subarray(0, written)]);
}

/** Undefined: no text, or one whose length or encoding is wrong (RFC 9003 section 4). */
export function shutdownTextOf({ code, subcode, data }: Notification): string | undefined {
  const length = data[0] ?? 0;
  if (code !== CEASE || !WITH_TEXT.includes(subcode) || length === 0) return undefined;
  if (data.length < length + 1) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(1, length + 1));
  } catch {
    return undefined;
  }
}
