// From an interface to its endpoint's chain. A shallow tree over the first differing character
// keeps the walk short on nodes with many pods. Whatever is not listed is dropped: an interface
// whose policy is not known yet passes nothing.
import { DROP, goto, inInterface, outInterface } from './fragments.ts';
import { type Direction, endpointChainName } from './names.ts';
import type { Chain, Rule } from './rule.ts';

const unknown = (deny: string): Rule => ({
  match: '',
  action: deny,
  comments: ['Unknown interface'],
});

const ROOT = { ingress: 'cali-to-wl-dispatch', egress: 'cali-from-wl-dispatch' } as const;
const MATCH = { ingress: outInterface, egress: inInterface } as const;

const ruleTo = (direction: Direction, name: string): Rule => ({
  match: MATCH[direction](name),
  action: goto(endpointChainName(direction, name)),
});

/** A root chain as if it led to this endpoint alone: its one rule may stand before all others. */
export const dispatchTo = (direction: Direction, name: string): Chain => ({
  name: ROOT[direction],
  rules: [ruleTo(direction, name)],
});

/** `cali-to-wl-dispatch` (ingress) or `cali-from-wl-dispatch` with their children. */
export const dispatchChains = (
  direction: Direction,
  interfaceNames: readonly string[],
  deny = DROP,
): readonly Chain[] =>
  dispatch(interfaceNames, {
    root: ROOT[direction],
    match: MATCH[direction],
    chainOf: (name) => endpointChainName(direction, name),
    end: [unknown(deny)],
  });

export interface DispatchWays {
  /** Name of the first chain. */
  readonly root: string;
  /** The match of an interface, or of all with a prefix and `+`. */
  readonly match: (name: string) => string;
  /** The chain of an interface. */
  readonly chainOf: (name: string) => string;
  /** For all other interfaces. */
  readonly end: readonly Rule[];
}

/** The first chain, and its children. */
export function dispatch(
  interfaceNames: readonly string[],
  { root, match, chainOf, end }: DispatchWays,
): readonly Chain[] {
  const toEndpoint = (name: string): Rule => ({ match: match(name), action: goto(chainOf(name)) });
  const names = [...new Set(interfaceNames)].sort();
  const prefix = commonPrefix(names);
  const children: Chain[] = [];
  const rules = [...Map.groupBy(names, (name) => name.slice(0, prefix.length + 1))].map(
    ([start, members]): Rule => {
      if (members.length === 1) return toEndpoint(members[0]!);
      const child = `${root}-${start.slice(prefix.length)}`;
      children.push({ name: child, rules: [...members.map(toEndpoint), ...end] });
      return { match: match(`${start}+`), action: goto(child) };
    },
  );
  return [{ name: root, rules: [...rules, ...end] }, ...children];
}

function commonPrefix(names: readonly string[]): string {
  const [first = '', last = ''] = [names[0], names.at(-1)];
  let length = 0;
  while (length < first.length && first[length] === last[length]) length++;
  return first.slice(0, length);
}
