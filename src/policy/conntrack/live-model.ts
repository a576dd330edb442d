// The evaluator's view of what the engine knows already: policies as they were chosen for this node's
// endpoints, members as the sets in use have them. Nothing is kept twice.
import { type Cidr, contains, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { PolicyFacts } from '../calculate.ts';
import type { Evaluated } from '../explain/match.ts';
import type { Members } from '../members/members.ts';
import type { Item } from '../members/set-index.ts';
import type { Policy } from '../read/resources.ts';

/** Only endpoints of this node can be asked. */
export function liveModel(facts: PolicyFacts): Evaluated {
  const policies = new Map<Item, readonly Policy[]>();
  for (const [key, endpoint] of facts.stored())
    policies.set(endpoint, facts.endpoint(key)?.policies ?? []);
  const nets = new WeakMap<Members, readonly Cidr[]>();
  const netsOf = (members: Members): readonly Cidr[] => {
    const known = nets.get(members);
    if (known) return known;
    const prefixes = [...members].filter((member) => member.includes('/'));
    const parsed = prefixes.flatMap((member) => parseCidr(member) ?? []);
    nets.set(members, parsed);
    return parsed;
  };
  return {
    world: facts.world,
    policiesOf: (endpoint, takes) =>
      (policies.get(endpoint) ?? []).filter((policy) => !policy.isStaged && takes(policy)),
    memberOf: ({ id }, address: Ip, packetPort) => {
      const members = facts.index.members(id, familyOf(address));
      // A set holds addresses and nets, or addresses with ports: the texts tell them apart.
      const withPort = packetPort && `${address},${packetPort.protocol}:${packetPort.port}`;
      if (withPort !== undefined && members.has(withPort)) return { key: id, member: withPort };
      if (members.has(address)) return { key: id, member: address };
      const net = netsOf(members).find((one) => contains(one, address));
      return net && { key: id, member: net };
    },
  };
}
