// RFC 7606 in its own words, independently of the codec: for which reason, if any, an UPDATE may end
// the session. Everything else has to be survived.

export interface OracleContext {
  /** Whether prefixes of the family carry path identifiers. */
  readonly addPath: boolean;
}

const MP_REACH = 14;
const MP_UNREACH = 15;
const KNOWN = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 25, 32];

/**
 * `must`: the session ends. `may`: nothing is announced, so that any malformed attribute ends it
 * (section 5.2). `never`: it goes on.
 */
export type Verdict = 'must' | 'may' | 'never';

export function resetVerdict(body: Uint8Array, { addPath }: OracleContext): Verdict {
  const u16 = (at: number): number => (body[at]! << 8) | body[at + 1]!;
  if (body.length < 4) return 'must';
  const attributesAt = 2 + u16(0);
  // Section 3 (b): the lengths contradict one another.
  if (attributesAt + 2 > body.length) return 'must';
  const start = attributesAt + 2;
  const end = start + u16(attributesAt);
  if (end > body.length) return 'must';
  // Section 5.3: prefixes that cannot be told apart.
  if (!arePrefixes(body.subarray(2, attributesAt), 32, addPath)) return 'must';
  if (!arePrefixes(body.subarray(end), 32, addPath)) return 'must';
  let announces = end < body.length;
  const seen = new Set<number>();
  for (let at = start; at < end; ) {
    const wide = (body[at]! & 0x10) !== 0;
    const head = wide ? 4 : 3;
    // Section 4: what follows is lost, the prefixes are not.
    if (at + head > end) break;
    const length = wide ? u16(at + 2) : body[at + 2]!;
    if (at + head + length > end) break;
    const [flags, type] = [body[at]!, body[at + 1]!];
    const value = body.subarray(at + head, at + head + length);
    at += head + length;
    if (type === MP_REACH || type === MP_UNREACH) {
      // Section 3 (g) and 7.11.
      if (seen.has(type)) return 'must';
      const fault = type === MP_REACH ? reachFault(value, addPath) : unreachFault(value, addPath);
      if (fault) return 'must';
      const known = type === MP_REACH && familyOf(value) !== undefined;
      announces ||= known && value.length > 5 + value[3]!;
    } else if (!KNOWN.includes(type) && !(flags & 0x80) && !seen.has(type)) return 'must'; // RFC 4271 section 6.3
    seen.add(type);
  }
  return announces ? 'never' : 'may';
}

function arePrefixes(bytes: Uint8Array, bitsMax: number, addPath: boolean): boolean {
  let at = 0;
  while (at < bytes.length) {
    if (addPath) at += 4;
    if (at >= bytes.length || bytes[at]! > bitsMax) return false;
    at += 1 + Math.ceil(bytes[at]! / 8);
  }
  return at === bytes.length;
}

/** 4 or 6; undefined: none that we speak. */
const familyOf = (value: Uint8Array): 4 | 6 | undefined =>
  value[0] !== 0 || value[2] !== 1
    ? undefined
    : value[1] === 1
      ? 4
      : value[1] === 2
        ? 6
        : undefined;

function reachFault(value: Uint8Array, addPath: boolean): boolean {
  if (value.length < 5) return true;
  const hop = value[3]!;
  if (4 + hop + 1 > value.length) return true;
  const family = familyOf(value);
  if (family === undefined) return false;
  if (hop !== 16 && hop !== 32 && !(family === 4 && hop === 4)) return true;
  return !arePrefixes(value.subarray(5 + hop), family === 4 ? 32 : 128, addPath);
}

function unreachFault(value: Uint8Array, addPath: boolean): boolean {
  if (value.length < 3) return true;
  const family = familyOf(value);
  if (family === undefined) return false;
  return !arePrefixes(value.subarray(3), family === 4 ? 32 : 128, addPath);
}
