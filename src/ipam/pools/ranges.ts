// Prefixes as ranges of integers, for questions about many prefixes at once.
import { type Cidr, cidrFamily, networkOf, sizeOf } from '../../net/cidr.ts';
import { type Family, valueOfIp } from '../../net/ip.ts';

/** Both ends included. */
export interface Range {
  readonly first: bigint;
  readonly last: bigint;
}

export function rangeOf(cidr: Cidr): Range {
  const first = valueOfIp(networkOf(cidr));
  return { first, last: first + sizeOf(cidr) - 1n };
}

/** The same addresses in ascending ranges that neither overlap nor touch. */
export function mergedRanges(cidrs: readonly Cidr[], family: Family): readonly Range[] {
  const ranges = cidrs.filter((cidr) => cidrFamily(cidr) === family).map(rangeOf);
  const merged: Range[] = [];
  for (const range of ranges.sort((a, b) => (a.first < b.first ? -1 : 1))) {
    const before = merged.at(-1);
    if (!before || range.first > before.last + 1n) merged.push(range);
    else if (range.last > before.last)
      merged[merged.length - 1] = { first: before.first, last: range.last };
  }
  return merged;
}

/** How many addresses of `cidr` any of the other prefixes covers. */
export function coveredIn(cidr: Cidr, others: readonly Cidr[]): bigint {
  const { first, last } = rangeOf(cidr);
  let count = 0n;
  for (const each of mergedRanges(others, cidrFamily(cidr))) {
    let { first: from, last: to } = each;
    if (from < first) from = first;
    if (to > last) to = last;
    if (to >= from) count += to - from + 1n;
  }
  return count;
}
