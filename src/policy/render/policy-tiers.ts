// Policies in order as the tiers of one direction.
import type { Policy } from '../read/resources.ts';
import type { EndpointPolicy, EndpointTier } from './endpoint-chains.ts';
import type { Direction } from './names.ts';

export type DefaultAction = (tier: string) => 'Deny' | 'Pass';

/** The tiers in which some policy speaks of the direction. */
export function tiersOf(
  policies: readonly Policy[],
  direction: Direction,
  defaultAction: DefaultAction,
): readonly EndpointTier[] {
  const there = policies.filter((policy) => policy[direction] !== undefined);
  return [...Map.groupBy(there, ({ tier }) => tier)].map(([name, members]) => ({
    name,
    defaultAction: defaultAction(name),
    policies: members.map(namesOnly),
  }));
}

// An endpoint's chain depends on its policies' names, not on their rules.
const namesOnly = (policy: Policy): EndpointPolicy => {
  const { id, kind, name, namespace, selectorText, isStaged } = policy;
  return {
    id,
    kind,
    name,
    namespace,
    selectorText,
    isStaged,
  };
};
