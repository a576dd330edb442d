// The datastore as evaluation sees it: everything that policy speaks of, and who has which address.

import { labelsOf } from '../../model/selector/labels.ts';
import { matches } from '../../model/selector/match.ts';
import { contains, parseCidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import type { Item } from '../members/set-index.ts';
import type { Endpoint } from '../read/endpoints.ts';
import type { SetDefinition } from '../read/parsed-rule.ts';
import type { Policy } from '../read/resources.ts';
import { fullName } from '../render/policy-chains.ts';
import { World } from '../world.ts';

/** Who makes a set hold an address: the key of an endpoint or network set, and the member. */
export interface Membership {
  readonly key: string;
  readonly member: string;
}

export class PolicyModel {
  readonly world = new World();
  private readonly items = new Map<string, Item>();

  /** Takes in a stored value, as `PolicyCalculator.put` does. */
  put(key: string, text: string): void {
    const change = this.world.put(key, text);
    this.items.delete(key);
    if (change && 'now' in change && change.kind !== 'policy' && change.now)
      this.items.set(key, change.now);
  }

  remove(key: string): void {
    this.world.remove(key);
    this.items.delete(key);
  }

  /** Workload endpoints by key. */
  get endpoints(): ReadonlyMap<string, Endpoint> {
    return this.world.endpoints;
  }

  /** What is wrong with a policy, so that nobody would store it; undefined: nothing. */
  problemOf(key: string): string | undefined {
    const policy = this.world.policies.get(key);
    if (!policy) return undefined;
    const [
      problem = this.world.hasTier(policy.tier) ? undefined : `there is no tier ${policy.tier}`,
    ] = policy.problems;
    return problem && `${policy.kind} ${fullName(policy)}: ${problem}`;
  }

  /** The policies that apply to an endpoint, in order. */
  policiesOf(endpoint: Item, takes: (policy: Policy) => boolean): readonly Policy[] {
    const labels = this.labelsOf(endpoint);
    const applying = [...this.world.policies.values()].filter(
      (policy) => !policy.isStaged && takes(policy) && matches(policy.selector, labels),
    );
    return this.world.inOrder(applying);
  }

  /**
   * By whom the set holds the address; of a named port's set, address, protocol and port. Undefined:
   * it does not.
   */
  memberOf(
    set: SetDefinition,
    address: Ip,
    packetPort: { readonly protocol: string; readonly port: number } | undefined,
  ): Membership | undefined {
    for (const [key, item] of this.items) {
      const member =
        set.port || set.service?.ports
          ? packetPort && portMemberOf(item, set, address, packetPort)
          : item.members.find((net) => holds(net, address));
      if (member !== undefined && this.finds(set, item)) return { key, member };
    }
    return undefined;
  }

  private finds({ selector, service }: SetDefinition, item: Item): boolean {
    if (service || item.service !== undefined) return service?.key === item.service;
    return matches(selector, this.labelsOf(item));
  }

  private labelsOf({ labels, profiles }: Item): ReturnType<typeof labelsOf> {
    return labelsOf(
      labels,
      profiles.map((name) => this.world.profiles.get(name)?.labels),
    );
  }
}

/** Of stored values by key. */
export function modelOf(items: Iterable<readonly [key: string, value: string]>): PolicyModel {
  const model = new PolicyModel();
  for (const [key, value] of items) model.put(key, value);
  return model;
}

function portMemberOf(
  item: Item,
  { port: wanted }: SetDefinition,
  address: Ip,
  { protocol, port }: { readonly protocol: string; readonly port: number },
): string | undefined {
  const member = `${address},${protocol}:${port}`;
  const named = item.ports.filter(
    (one) => !wanted || (one.protocol === wanted.protocol && one.name === wanted.name),
  );
  return named.some(({ members }) => members.includes(member)) ? member : undefined;
}

function holds(member: string, address: Ip): boolean {
  if (!member.includes('/')) return member === address;
  const net = parseCidr(member);
  return net !== undefined && contains(net, address);
}
