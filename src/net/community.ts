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
  const order = (a: LargeCommunity, b: LargeCommunity): number =>
    a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
  const sorted = values.toSorted(order);
  return sorted.filter((value, i) => i === 0 || order(sorted[i - 1]!, value) !== 0);
}
