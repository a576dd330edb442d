// The nat table with the floating addresses of this node's endpoints. A record may name any address; one
// that lies in no pool is not taken from whoever has it.
import { cidrFamily, contains, parseCidr } from '../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import type { ActiveEndpoint } from './active/local-endpoints.ts';
import type { DesiredTable } from './desired.ts';
import type { AddressPair } from './read/endpoints.ts';
import { all } from './render/fragments.ts';
import { type Chain, type Rule, renderChain } from './render/rule.ts';
import type { World } from './world.ts';

/** Pairs of the family that may be served on the node. */
export function floatingPairs(
  world: World,
  node: string,
  active: readonly ActiveEndpoint[],
  family: Family,
): readonly AddressPair[] {
  if (!world.setting(node, 'floating')) return [];
  const pools = [...world.pools.values()].flatMap(({ spec }) => parseCidr(spec.cidr) ?? []);
  const ofFamily = pools.filter((pool) => cidrFamily(pool) === family);
  return active
    .flatMap(({ nats }) => nats)
    .filter(({ external }) => familyOf(external) === family)
    .filter(({ external }) => ofFamily.some((pool) => contains(pool, external)));
}

export class FloatingNat {
  private last:
    | { readonly fixed: DesiredTable; readonly text: string; readonly table: DesiredTable }
    | undefined;

  /** The same object as before when it holds the same. */
  table(fixed: DesiredTable, pairs: readonly AddressPair[]): DesiredTable {
    if (pairs.length === 0) return fixed;
    const text = JSON.stringify(pairs);
    if (this.last?.fixed === fixed && this.last.text === text) return this.last.table;
    const chains = new Map(fixed.chains);
    for (const chain of floatingChains(pairs)) chains.set(chain.name, renderChain(chain));
    this.last = { fixed, text, table: { ...fixed, chains } };
    return this.last.table;
  }
}

const rule = (match: string, action: string): Rule => ({ match, action });

/**
 * As Felix renders them: in order of the external address each way in, of the internal one for who
 * calls itself; of several external ones the first stands for it.
 */
function floatingChains(pairs: readonly AddressPair[]): readonly Chain[] {
  const inOrder = (...of: (keyof AddressPair)[]) =>
    pairs.toSorted((a, b) => {
      const [one, other] = [a, b].map((pair) => of.map((key) => pair[key]).join(' '));
      return one! < other! ? -1 : 1;
    });
  const byExternal = new Map(inOrder('external').map((pair) => [pair.external, pair]));
  const byInternal = new Map<Ip, AddressPair>();
  for (const pair of inOrder('internal', 'external'))
    if (!byInternal.has(pair.internal)) byInternal.set(pair.internal, pair);
  return [
    {
      name: 'cali-fip-dnat',
      rules: [...byExternal.values()].map(({ external, internal }) =>
        rule(`--destination ${external}`, `--jump DNAT --to-destination ${internal}`),
      ),
    },
    {
      name: 'cali-fip-snat',
      rules: [...byInternal.values()].map(({ external, internal }) =>
        rule(
          all(`--source ${internal}`, `--destination ${internal}`),
          `--jump SNAT --to-source ${external}`,
        ),
      ),
    },
  ];
}
