// What the tables hold whatever endpoints there are.
import type { TableName } from '../kernel/tables.ts';
import type { IpPool } from '../model/ip-pool.ts';
import { encapsulationsOf } from '../model/mtu.ts';
import { cidrFamily, parseCidr } from '../net/cidr.ts';
import type { Family } from '../net/ip.ts';
import { type DesiredTable, renderHooks, TABLES } from './desired.ts';
import { markBits } from './mark-bits.ts';
import type { RuleSettings } from './read/rule-settings.ts';
import { renderChain } from './render/rule.ts';
import { type FixedFacts, type PolicySettings, staticChains } from './render/static-chains.ts';
import type { Tunnelled } from './render/tunnel-rules.ts';
import type { World } from './world.ts';

/** Hooks and fixed chains by table. */
export function fixedTables(
  family: Family,
  facts: FixedFacts,
): ReadonlyMap<TableName, DesiredTable> {
  const bits = markBits(facts.rules.markMask);
  const chains = (table: TableName) =>
    staticChains(table, family, facts).map((c) => [c.name, renderChain(c, bits)] as const);
  return new Map(
    TABLES.map((table) => [
      table,
      { ...renderHooks(table, facts.rules), chains: new Map(chains(table)) },
    ]),
  );
}

/** What pools want packets of a family to travel in. A disabled one still has pods. */
export function tunnelledBy(
  family: Family,
  settings: Pick<PolicySettings, 'ipipEnabled' | 'vxlanEnabled'>,
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

/** Whether the pool's packets to the outside get another source address, in the family. */
function masquerades({ spec }: IpPool, family: Family): boolean {
  const net = spec.natOutgoing ? parseCidr(spec.cidr) : undefined;
  return net !== undefined && cidrFamily(net) === family;
}

/** What fixed chains depend on now. */
export function fixedFacts(
  family: Family,
  settings: PolicySettings,
  { pools, services }: Pick<World, 'pools' | 'services'>,
  rules: RuleSettings,
  marksDscp: boolean,
): FixedFacts {
  const all = [...pools.values()];
  return {
    rules,
    tunnelled: tunnelledBy(family, settings, all, rules.vxlanPort),
    masquerades: all.some((pool) => masquerades(pool, family)),
    services,
    marksDscp,
  };
}

export const sameFacts = (a: FixedFacts, b: FixedFacts): boolean =>
  a.rules === b.rules &&
  a.services === b.services &&
  a.masquerades === b.masquerades &&
  a.marksDscp === b.marksDscp &&
  a.tunnelled.ipip === b.tunnelled.ipip &&
  a.tunnelled.vxlanPort === b.tunnelled.vxlanPort;
