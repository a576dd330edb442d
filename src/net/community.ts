// BGP communities: 32 bits written `aa:nn` (RFC 1997), or 96 bits written `aa:nn:mm` (RFC 8092).

export type Community =
  /** The 32 bits as an unsigned number. */
  | { readonly kind: 'standard'; readonly value: number }
  | { readonly kind: 'large'; readonly value: LargeCommunity };

/** Global administrator and the two local parts, 32 bits each. */
export type LargeCommunity = readonly [number, number, number];

const HALF_MAX = 0xffff;
const PART_MAX = 0xffffffff;

/** Parses `64512:100` or `64512:1:2`; undefined when a part is missing or too large. */
export function parseCommunity(text: string): Community | undefined {
  const texts = text.split(':');
  if (!texts.every((part) => /^\d{1,10}$/.test(part))) return undefined;
  const [a, b, c] = texts.map(Number) as [number, number, number];
  if (texts.length === 2)
    return a <= HALF_MAX && b <= HALF_MAX
      ? { kind: 'standard', value: a * 0x10000 + b }
      : undefined;
  return texts.length === 3 && [a, b, c].every((part) => part <= PART_MAX)
    ? { kind: 'large', value: [a, b, c] }
    : undefined;
}

/** The text that `parseCommunity` reads. */
export const printCommunity = (community: Community): string =>
  community.kind === 'large'
    ? community.value.join(':')
    : `${Math.floor(community.value / 0x10000)}:${community.value % 0x10000}`;

/** Each once, in ascending order. */
export function largeInOrder(values: readonly LargeCommunity[]): readonly LargeCommunity[] {
  const isBehind = (value: LargeCommunity, i: number, all: readonly LargeCommunity[]): boolean =>
    i === 0 || order(all[i - 1]!, value) < 0;
  return values.every(isBehind) ? values : sortedFrom(values, 0).filter(isBehind);
}

const order = (a: LargeCommunity, b: LargeCommunity): number =>
  a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

/** More than fit into any message, and still exact beside 32 bits. */
const PLACES = 2 ** 20;

// By one part after the other, as numbers with their places in the lower bits: thousands in random order,
// as a peer of ill will may send them, take a third of the time that comparing pairs does.
function sortedFrom(values: readonly LargeCommunity[], part: number): readonly LargeCommunity[] {
  if (values.length < 2 || part > 2) return values;
  const keys = new Float64Array(values.length);
  for (let i = 0; i < keys.length; i++) keys[i] = values[i]![part]! * PLACES + i;
  keys.sort();
  const sorted = values.map((_, i) => values[keys[i]! % PLACES]!);
  const runs: LargeCommunity[] = [];
  for (let from = 0, to = 1; from < sorted.length; from = to, to += 1) {
    while (to < sorted.length && sorted[to]![part] === sorted[from]![part]) to += 1;
    if (to === from + 1) runs.push(sorted[from]!);
    else for (const value of sortedFrom(sorted.slice(from, to), part + 1)) runs.push(value);
  }
  return runs;
}
