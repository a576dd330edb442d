// What the tables hold whatever endpoints there are.
import type { TableName } from '../kernel/tables.ts';
import type { IpPool } from '../model/ip-pool.ts';
import { encapsulationsOf } from '../model/mtu.ts';
import type { Family } from '../net/ip.ts';
import { type DesiredTable, renderHooks, TABLES } from './desired.ts';
import { renderChain } from './render/rule.ts';
import { type PolicySettings, staticChains, type Tunnelled } from './render/static-chains.ts';

/** Hooks and fixed chains by table. */
export function fixedTables(
  family: Family,
  settings: PolicySettings,
  tunnelled: Tunnelled,
): ReadonlyMap<TableName, DesiredTable> {
  const chains = (table: TableName) =>
    staticChains(table, family, settings, tunnelled).map((c) => [c.name, renderChain(c)] as const);
  return new Map(
    TABLES.map((table) => [table, { ...renderHooks(table), chains: new Map(chains(table)) }]),
  );
}

/** What pools want packets of a family to travel in. A disabled one still has pods. */
export function tunnelledBy(
  family: Family,
  settings: PolicySettings,
  pools: readonly IpPool[],
  vxlanPort: number,
): Tunnelled {
  const asked = encapsulationsOf(pools.map(({ spec }) => spec));
  const { ipipEnabled, vxlanEnabled } = settings;
  const isOverlay = vxlanEnabled === 'pools' && asked.has(family === 4 ? 'vxlan' : 'vxlanV6');
  return {
    ipip: family === 4 && (ipipEnabled === 'pools' ? asked.has('ipip') : ipipEnabled),
    vxlanPort: isOverlay ? vxlanPort : undefined,
  };
}
