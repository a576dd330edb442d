// What a node tells its peers beside its pods' blocks: routes and addresses of its own that lie within
// prefixes of the settings. A pure function.
import type { InterfaceAddressOfLink, Route } from '../kernel/kernel.ts';
import { type Cidr, containsCidr, hostCidr } from '../net/cidr.ts';
import { isCovered } from './own.ts';
import { isMarked } from './writer.ts';

export interface AdditionalFacts {
  /** Prefixes within which is looked. */
  readonly within: readonly Cidr[];
  /** The main table. */
  readonly routes: Iterable<Route>;
  readonly addresses: Iterable<InterfaceAddressOfLink>;
  /** Pools: what lies in them is told by blocks, or not at all. */
  readonly pools: readonly Cidr[];
}

/** Whether a route or an address there would be told. */
export const isAdditional = (
  prefix: Cidr,
  { within, pools }: Pick<AdditionalFacts, 'within' | 'pools'>,
): boolean => isCovered(prefix, within) && !pools.some((pool) => touches(pool, prefix));

/**
 * In an order that does not change. What peers told is not passed on by this way, and what goes
 * nowhere is not offered.
 */
export function additionalRoutes(facts: AdditionalFacts): readonly Cidr[] {
  const found = new Set<Cidr>();
  for (const route of facts.routes)
    if (route.kind === 'unicast' && !isMarked(route)) found.add(route.destination);
  for (const { ip } of facts.addresses) found.add(hostCidr(ip));
  return [...found].filter((prefix) => isAdditional(prefix, facts)).toSorted();
}

const touches = (pool: Cidr, prefix: Cidr): boolean =>
  containsCidr(pool, prefix) || containsCidr(prefix, pool);
