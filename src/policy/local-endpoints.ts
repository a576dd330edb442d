// This node's endpoints and what applies to each. Kept change by change: a policy is asked about
// every local endpoint once when it comes, an endpoint about every policy; what did not change is
// answered with the same object as before.
import { matches } from '../model/selector/match.ts';
import { labelsOf } from './labels.ts';
import { DENY_ALL } from './parsed-rule.ts';
import type { Endpoint, Policy, Profile } from './resources.ts';
import type { World } from './world.ts';

/** An endpoint with everything its chains are made of, in order. */
export interface ActiveEndpoint {
  readonly interfaceName: string;
  readonly policies: readonly Policy[];
  readonly profiles: readonly Profile[];
}

interface LocalEndpoint {
  readonly endpoint: Endpoint;
  readonly policies: Set<Policy>;
  /** Undefined: something it is made of has changed. */
  active: ActiveEndpoint | undefined;
}

export class LocalEndpoints {
  private readonly world: World;
  private readonly byKey = new Map<string, LocalEndpoint>();
  /** Gone endpoints whose chains are still kept, by interface. */
  private leaving = new Map<string, ActiveEndpoint>();

  constructor(world: World) {
    this.world = world;
  }

  put(key: string, endpoint: Endpoint): void {
    const inherited = endpoint.profiles.map((name) => this.world.profiles.get(name)?.labels);
    const labels = labelsOf(endpoint.labels, inherited);
    const all = [...this.world.policies.values()];
    const policies = new Set(all.filter(({ selector }) => matches(selector, labels)));
    const before = this.byKey.get(key);
    const active = before && sameChains(before, endpoint, policies) ? before.active : undefined;
    this.byKey.set(key, { endpoint, policies, active });
  }

  /** Its chains stay until `forgetLeaving`: their removal may wait, new ones may not. */
  remove(key: string): void {
    const active = this.byKey.get(key)?.active;
    if (active) this.leaving.set(active.interfaceName, active);
    this.byKey.delete(key);
  }

  forgetLeaving(): void {
    this.leaving = new Map();
  }

  policyChanged(before: Policy | undefined, now: Policy | undefined): void {
    for (const local of this.byKey.values()) {
      const { labels: own, profiles } = local.endpoint;
      const inherited = profiles.map((name) => this.world.profiles.get(name)?.labels);
      const gone = before !== undefined && local.policies.delete(before);
      const come = now !== undefined && matches(now.selector, labelsOf(own, inherited));
      if (come) local.policies.add(now);
      if (gone || come) local.active = undefined;
    }
  }

  profileChanged(name: string): void {
    for (const [key, local] of this.byKey) {
      if (!local.endpoint.profiles.includes(name)) continue;
      local.active = undefined;
      this.put(key, local.endpoint);
    }
  }

  /** The order of policies may have changed. */
  tiersChanged(): void {
    for (const local of this.byKey.values()) local.active = undefined;
  }

  /** By interface, those that leave first. Of two endpoints on one interface the later key wins. */
  active(): readonly ActiveEndpoint[] {
    const byInterface = new Map<string, ActiveEndpoint>(this.leaving);
    for (const key of [...this.byKey.keys()].sort()) {
      const local = this.byKey.get(key)!;
      const { interfaceName, profiles } = local.endpoint;
      if (!interfaceName) continue;
      local.active ??= {
        interfaceName,
        policies: this.world.inOrder(local.policies),
        profiles: profiles.map((name) => this.world.profiles.get(name) ?? missingProfile(name)),
      };
      byInterface.set(interfaceName, local.active);
      this.leaving.delete(interfaceName);
    }
    return [...byInterface.values()];
  }
}

// An endpoint's address does not enter its chains.
const sameChains = (
  { endpoint, policies }: LocalEndpoint,
  now: Endpoint,
  nowPolicies: ReadonlySet<Policy>,
): boolean =>
  endpoint.interfaceName === now.interfaceName &&
  endpoint.profiles.join(' ') === now.profiles.join(' ') &&
  policies.size === nowPolicies.size &&
  policies.isSubsetOf(nowPolicies);

// An endpoint that names a profile which does not exist is closed by it.
const missingProfile = (name: string): Profile => ({
  name,
  ingress: [DENY_ALL],
  egress: [DENY_ALL],
  labels: {},
});
