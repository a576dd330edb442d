// BGPConfiguration's `ignoredInterfaces`: links over which no next hop is looked for, whatever the
// kernel's routes say. (Networks of links are never told to peers, ignored or not.)
import type { Kernel } from '../kernel/kernel.ts';
import { matchesName } from '../net/name-pattern.ts';

/** Whether a link is meant by one of the patterns; `*` stands for any run of characters. */
export function isIgnored(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matchesName(pattern, name));
}

/** Indexes of the links that are ignored. */
export function ignoredLinks(
  patterns: readonly string[],
  kernel: Pick<Kernel, 'links'>,
): ReadonlySet<number> {
  if (patterns.length === 0) return new Set();
  const links = kernel.links().filter(({ name }) => isIgnored(patterns, name));
  return new Set(links.map(({ index }) => index).toSorted((a, b) => a - b));
}
