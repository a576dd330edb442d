// BGPConfiguration's `ignoredInterfaces`: links over which no next hop is looked for, whatever the
// kernel's routes say. (Networks of links are never told to peers, ignored or not.)
import { matchesName } from '../net/name-pattern.ts';

/** Whether a link is meant by one of the patterns; `*` stands for any run of characters. */
export function isIgnored(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matchesName(pattern, name));
}
