// One service's part of the tables, and all parts put together: what did not change is not rendered
// again, and its chains stay the very same values, which the writer knows by sight.
import type { ChainRules } from '../../../kernel/tables.ts';
import type { WantedTable } from '../../../services/write/plan.ts';
import type { WantedTables } from '../../../services/write/writer.io.ts';

type Chains = ReadonlyMap<string, ChainRules>;

/** What a service adds to each table: rules of chains that are there without it, and its own chains. */
export interface Piece {
  readonly filter: Chains;
  readonly nat: Chains;
  /** Of all its ports, those that are not ready too. */
  readonly endpoints: number;
}

/** Ports whose traffic must stay on this node where nobody serves them, by the rule that drops it. */
export function withoutLocal(pieces: Iterable<Piece>, chain: string): number {
  let count = 0;
  for (const { filter } of pieces) {
    const words = (filter.get(chain) ?? []).map((rule) => /"(.*) has no local/.exec(rule)?.[1]);
    count += new Set(words.filter((word) => word !== undefined)).size;
  }
  return count;
}

/** The tables of all of them. In a shared chain the rules of services come first. */
export function together(fixed: WantedTables, pieces: Iterable<Piece>): WantedTables {
  const all = [...pieces];
  return {
    ...fixed,
    filter: tableOf(
      fixed.filter,
      all.map(({ filter }) => filter),
    ),
    nat: tableOf(
      fixed.nat,
      all.map(({ nat }) => nat),
    ),
  };
}

function tableOf(fixed: WantedTable, parts: readonly Chains[]): WantedTable {
  const chains = new Map<string, ChainRules>(fixed.chains);
  const lists = new Map([...fixed.chains.keys()].map((name) => [name, [] as string[]]));
  for (const part of parts)
    for (const [name, rules] of part) {
      const list = lists.get(name);
      if (!list) chains.set(name, rules);
      else for (const rule of rules) list.push(rule);
    }
  for (const [name, rules] of lists)
    if (rules.length > 0) chains.set(name, [...rules, ...fixed.chains.get(name)!]);
  return { ...fixed, chains };
}
