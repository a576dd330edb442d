// JSON with 64-bit integers: IPAM sequence numbers exceed 2^53 and must never pass a double.
// (JSON.parse with the source text: ECMAScript proposal "JSON.parse source text access".)

/** A JSON value. Integers beyond 2^53 are bigint. */
export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

interface Context {
  readonly source?: string;
}
const parseWithSource = JSON.parse as unknown as (
  text: string,
  reviver: (key: string, value: Json, context: Context) => Json,
) => Json;
const { rawJSON } = JSON as unknown as { rawJSON(text: string): Json };

/** Parses; integers that a double cannot hold become bigint. Throws SyntaxError on bad text. */
export function parseJson(text: string): Json {
  // Asking about every value costs most of the time, and 2^53 has 16 digits.
  if (!/\d{16}/.test(text)) return JSON.parse(text) as Json;
  return parseWithSource(text, (_key, value, { source }) =>
    typeof value === 'number' && source && /^-?\d+$/.test(source) && !Number.isSafeInteger(value)
      ? BigInt(source)
      : value,
  );
}

/** Prints; bigint becomes a plain integer. */
export function printJson(value: unknown): string {
  try {
    return JSON.stringify(value); // refuses bigint; asking about every value would cost most of the time
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    return JSON.stringify(value, (_key, v) => (typeof v === 'bigint' ? rawJSON(String(v)) : v));
  }
}

/** An integer that JSON.stringify prints as it is, whatever its size. */
export const printable = (value: number | bigint): Json =>
  typeof value === 'bigint' ? rawJSON(String(value)) : value;
