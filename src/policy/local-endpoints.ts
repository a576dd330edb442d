// This node's endpoints and what applies to each. Kept change by change: a policy is asked about
// every local endpoint once when it comes, an endpoint about every policy; what did not change is
// answered with the same object as before.
import { matches } from '../model/selector/match.ts';
import type { Cidr } from '../net/cidr.ts';
import { labelsOf } from './labels.ts';
import { DENY_ALL } from './parsed-rule.ts';
import type { Endpoint, Policy, Profile } from './resources.ts';
import type { World } from './world.ts';

/** An endpoint with everything its chains are made of, in order. */
export interface ActiveEndpoint {
  readonly interfaceName: string;
  readonly hasIpv6: boolean;
  readonly sources: readonly Cidr[];
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
  /** Undefined: some endpoint came, went or is made of something else. */
  private all: readonly ActiveEndpoint[] | undefined;
  /** How many have an IPv6 address. */
  ipv6Count = 0;

  constructor(world: World) {
    this.world = world;
  }

  /** False: it is made of the same as before; only addresses may have changed. */
  put(key: string, endpoint: Endpoint): boolean {
    const inherited = endpoint.profiles.map((name) => this.world.profiles.get(name)?.labels);
    const labels = labelsOf(endpoint.labels, inherited);
    const all = [...this.world.policies.values()];
    const policies = new Set(all.filter(({ selector }) => matches(selector, labels)));
    const before = this.byKey.get(key);
    const active = before && sameChains(before, endpoint, policies) ? before.active : undefined;
    this.byKey.set(key, { endpoint, policies, active });
    this.ipv6Count += Number(endpoint.hasIpv6) - Number(before?.endpoint.hasIpv6 ?? false);
    if (!active) this.all = undefined;
    return active === undefined;
  }

  remove(key: string): void {
    const before = this.byKey.get(key);
    if (!before) return;
    this.byKey.delete(key);
    this.ipv6Count -= Number(before.endpoint.hasIpv6);
    this.all = undefined;
  }

  /** What the endpoint asks to send from, as text. */
  sourcesOf(key: string): string {
    return this.byKey.get(key)?.endpoint.sources.join(' ') ?? '';
  }

  /** Whether that matters to an endpoint here. */
  policyChanged(before: Policy | undefined, now: Policy | undefined): boolean {
    let changed = false;
    for (const local of this.byKey.values()) {
      const { labels: own, profiles } = local.endpoint;
      const inherited = profiles.map((name) => this.world.profiles.get(name)?.labels);
      const gone = before !== undefined && local.policies.delete(before);
      const come = now !== undefined && matches(now.selector, labelsOf(own, inherited));
      if (come) local.policies.add(now);
      if (gone || come) changed = this.stale(local);
    }
    return changed;
  }

  /** Whether an endpoint here has that profile. */
  profileChanged(name: string): boolean {
    let changed = false;
    for (const [key, local] of this.byKey) {
      if (!local.endpoint.profiles.includes(name)) continue;
      changed = this.stale(local);
      this.put(key, local.endpoint);
    }
    return changed;
  }

  /** The order of policies may have changed. */
  tiersChanged(): void {
    for (const local of this.byKey.values()) this.stale(local);
  }

  private stale(local: LocalEndpoint): true {
    local.active = undefined;
    this.all = undefined;
    return true;
  }

  /** The endpoint of a key; undefined without an interface. */
  activeOf(key: string): ActiveEndpoint | undefined {
    const local = this.byKey.get(key);
    if (!local?.endpoint.interfaceName) return undefined;
    const { interfaceName, hasIpv6, sources, profiles } = local.endpoint;
    local.active ??= {
      interfaceName,
      hasIpv6,
      sources,
      policies: this.world.inOrder(local.policies),
      profiles: profiles.map((name) => this.world.profiles.get(name) ?? missingProfile(name)),
    };
    return local.active;
  }

  /** By interface, in key order. Of two endpoints on one interface the later key wins. */
  active(): readonly ActiveEndpoint[] {
    if (this.all) return this.all;
    const byInterface = new Map<string, ActiveEndpoint>();
    for (const key of [...this.byKey.keys()].sort()) {
      const active = this.activeOf(key);
      if (active) byInterface.set(active.interfaceName, active);
    }
    this.all = [...byInterface.values()];
    return this.all;
  }
}

// An endpoint's address does not enter its chains; whether it has one of IPv6 decides where they are.
const sameChains = (
  { endpoint, policies }: LocalEndpoint,
  now: Endpoint,
  nowPolicies: ReadonlySet<Policy>,
): boolean =>
  endpoint.interfaceName === now.interfaceName &&
  endpoint.hasIpv6 === now.hasIpv6 &&
  endpoint.sources.join(' ') === now.sources.join(' ') &&
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
