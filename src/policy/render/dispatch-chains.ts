// From an interface to its endpoint's chain. A shallow tree over the first differing character
// keeps the walk short on nodes with many pods. Whatever is not listed is dropped: an interface
// whose policy is not known yet passes nothing.
import { DROP, goto, inInterface, outInterface } from './fragments.ts';
import { type Direction, endpointChainName } from './names.ts';
import type { Chain, Rule } from './rule.ts';

const UNKNOWN: Rule = { match: '', action: DROP, comments: ['Unknown interface'] };

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
export function dispatchChains(
  direction: Direction,
  interfaceNames: readonly string[],
): readonly Chain[] {
  const root = ROOT[direction];
  const match = MATCH[direction];
  const toEndpoint = (name: string): Rule => ruleTo(direction, name);
  const names = [...new Set(interfaceNames)].sort();
  const prefix = commonPrefix(names);
  const children: Chain[] = [];
  const rules = [...Map.groupBy(names, (name) => name.slice(0, prefix.length + 1))].map(
    ([start, members]): Rule => {
      if (members.length === 1) return toEndpoint(members[0]!);
      const child = `${root}-${start.slice(prefix.length)}`;
      children.push({ name: child, rules: [...members.map(toEndpoint), UNKNOWN] });
      return { match: match(`${start}+`), action: goto(child) };
    },
  );
  return [{ name: root, rules: [...rules, UNKNOWN] }, ...children];
}

function commonPrefix(names: readonly string[]): string {
  const [first = '', last = ''] = [names[0], names.at(-1)];
  let length = 0;
  while (length < first.length && first[length] === last[length]) length++;
  return first.slice(0, length);
}
