// What the tables hold whatever endpoints there are.
import type { TableName } from '../kernel/tables.ts';
import type { IpPool } from '../model/ip-pool.ts';
import type { Family } from '../net/ip.ts';
import { type DesiredTable, renderHooks, TABLES } from './desired.ts';
import { renderChain } from './render/rule.ts';
import { type PolicySettings, staticChains } from './render/static-chains.ts';

/** Hooks and fixed chains by table; `hasTunnel`: IP-in-IP carries traffic between nodes. */
export function fixedTables(
  family: Family,
  settings: PolicySettings,
  hasTunnel: boolean,
): ReadonlyMap<TableName, DesiredTable> {
  const chains = (table: TableName) =>
    staticChains(table, family, settings, hasTunnel).map((c) => [c.name, renderChain(c)] as const);
  return new Map(
    TABLES.map((table) => [table, { ...renderHooks(table), chains: new Map(chains(table)) }]),
  );
}

/** Whether a pool wants packets between nodes in IP-in-IP. A disabled one still has pods. */
export const asksForIpip = (pools: readonly IpPool[]): boolean =>
  pools.some(({ spec }) => (spec.ipipMode ?? 'Never') !== 'Never');
