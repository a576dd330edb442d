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
export const largeInOrder = (values: readonly LargeCommunity[]): readonly LargeCommunity[] =>
  largeFrom(Uint32Array.from(values.flat()));

/** The same of three words for each. They become values when their order is known, and not before. */
export function largeFrom(words: Uint32Array): readonly LargeCommunity[] {
  const places = new Float64Array(words.length / 3).map((_, i) => i * 3);
  if (!isAscending(words)) sortPlaces(words, places, 0);
  const values: LargeCommunity[] = [];
  for (let i = 0; i < places.length; i++) {
    const at = places[i]!;
    if (i === 0 || compare(words, places[i - 1]!, at) !== 0)
      values.push([words[at]!, words[at + 1]!, words[at + 2]!]);
  }
  return values;
}

const compare = (words: Uint32Array, a: number, b: number): number =>
  words[a]! - words[b]! || words[a + 1]! - words[b + 1]! || words[a + 2]! - words[b + 2]!;

function isAscending(words: Uint32Array): boolean {
  for (let at = 3; at < words.length; at += 3) if (compare(words, at - 3, at) > 0) return false;
  return true;
}

/** More than any message has words, and still exact beside 32 bits. */
const PLACES = 2 ** 20;

// By one part after the other, as numbers with their places in the lower bits: thousands in random order,
// as a peer of ill will may send them, take a third of the time that comparing pairs does.
function sortPlaces(words: Uint32Array, places: Float64Array, part: number): void {
  const wordAt = (i: number): number => words[places[i]! + part]!;
  for (let i = 0; i < places.length; i++) places[i] = wordAt(i) * PLACES + places[i]!;
  places.sort();
  for (let i = 0; i < places.length; i++)
    places[i] = places[i]! - Math.floor(places[i]! / PLACES) * PLACES;
  if (part === 2) return;
  for (let from = 0, to = 1; from < places.length; from = to, to += 1) {
    while (to < places.length && wordAt(to) === wordAt(from)) to += 1;
    if (to > from + 1) sortPlaces(words, places.subarray(from, to), part + 1);
  }
}
