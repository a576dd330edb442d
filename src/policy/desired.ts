// What the kernel shall hold: every table's chains and every ip set, as values.
import type { IpSetMeta, TableName } from '../kernel/tables.ts';
import { markBits } from './mark-bits.ts';
import type { Members } from './members/members.ts';
import { RULE_DEFAULTS, type RuleSettings } from './read/rule-settings.ts';
import {
  appendsOf,
  type RenderedChain,
  type RenderedRule,
  type Rule,
  renderChain,
} from './render/rule.ts';
import { hooksOf } from './render/static-chains.ts';

export interface DesiredTable {
  readonly chains: ReadonlyMap<string, RenderedChain>;
  readonly inserts: ReadonlyMap<string, readonly RenderedRule[]>;
  readonly appends: ReadonlyMap<string, readonly RenderedRule[]>;
}

export interface DesiredSet {
  readonly meta: IpSetMeta;
  readonly members: Members;
}

export interface Desired {
  readonly tables: ReadonlyMap<TableName, DesiredTable>;
  readonly ipSets: ReadonlyMap<string, DesiredSet>;
}

/** What new endpoints need beside what the kernel holds. */
export interface Additions {
  /** Chains of the filter table; some may be there already. */
  readonly chains: readonly RenderedChain[];
  readonly interfaces: readonly string[];
  readonly ipSets: ReadonlyMap<string, DesiredSet>;
}

export const TABLES: readonly TableName[] = ['filter', 'nat', 'raw', 'mangle'];

/**
 * Our rules in the table's kernel chains, with their hashes. Where others' rules shall stand first, what
 * would be inserted is appended, under the hashes of what is inserted.
 */
export function renderHooks(
  table: TableName,
  rules: RuleSettings = RULE_DEFAULTS,
): Omit<DesiredTable, 'chains'> {
  const { inserts, appends } = hooksOf(table, rules);
  const bits = markBits(rules.markMask);
  const rendered = (
    hooks: ReadonlyMap<string, readonly Rule[]>,
    hashedAs: (chain: string) => string,
  ) =>
    new Map(
      [...hooks].map(([chain, rules]) => [
        chain,
        renderChain({ name: hashedAs(chain), rules }, bits).rules,
      ]),
    );
  const first = rendered(inserts, (chain) => chain);
  const last = rendered(appends, appendsOf);
  if (rules.insertMode === 'insert') return { inserts: first, appends: last };
  const names = new Set([...first.keys(), ...last.keys()]);
  const both = [...names].map(
    (name) => [name, [...(first.get(name) ?? []), ...(last.get(name) ?? [])]] as const,
  );
  return { inserts: new Map(), appends: new Map(both) };
}

/** Nothing of ours: what an uninstall leaves. */
export const NOTHING: Desired = {
  tables: new Map(
    TABLES.map((table) => [table, { chains: new Map(), inserts: new Map(), appends: new Map() }]),
  ),
  ipSets: new Map(),
};
