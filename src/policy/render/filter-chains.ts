// All chains of the filter table that depend on this node's endpoints: dispatch, endpoints, their
// policies and profiles. Only chains that some rule jumps to are rendered.
import type { Family } from '../../net/ip.ts';
import type { ActiveEndpoint } from '../active/local-endpoints.ts';
import type { Policy, Profile } from '../read/resources.ts';
import { RenderCache } from './cache.ts';
import { dispatchChains } from './dispatch-chains.ts';
import { type EndpointChain, endpointChains } from './endpoint-chains.ts';
import { LOG_DEFAULTS, type LogSettings } from './log-action.ts';
import { type Direction, endpointChainName } from './names.ts';
import { policyChain, profileChain } from './policy-chains.ts';
import { type DefaultAction, tiersOf } from './policy-tiers.ts';
import type { RenderedChain } from './rule.ts';

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

interface KnownChains {
  readonly signature: string;
  readonly chains: readonly RenderedChain[];
}

export class FilterRenderer {
  private readonly family: Family;
  private readonly defaultAction: DefaultAction;
  private readonly logDenied: boolean;
  cache = new RenderCache();
  private log = LOG_DEFAULTS;
  private known = new WeakMap<ActiveEndpoint, Map<Direction, KnownChains>>();

  constructor(family: Family, defaultAction: DefaultAction, logDenied = false) {
    this.logDenied = logDenied;
    this.family = family;
    this.defaultAction = defaultAction;
  }

  /** What Log rules do from now on; false: as before. */
  setLog(log: LogSettings): boolean {
    if (this.log === log) return false;
    this.log = log;
    this.cache = new RenderCache();
    this.known = new WeakMap();
    return true;
  }

  /** The chains by name. */
  render(active: readonly ActiveEndpoint[]): ReadonlyMap<string, RenderedChain> {
    const chains = new Map<string, RenderedChain>();
    const names = active.map(({ interfaceName }) => interfaceName);
    for (const direction of DIRECTIONS) {
      for (const chain of dispatchChains(direction, names)) {
        const { name, rules } = chain;
        const signature = `${name}: ${rules.map((rule) => rule.match).join(' ')}`;
        chains.set(name, this.cache.of(signature, () => [chain])[0]!);
      }
      for (const endpoint of active)
        for (const chain of this.endpoint(endpoint, direction)) chains.set(chain.name, chain);
    }
    this.cache.sweep();
    return chains;
  }

  /** The chains of one endpoint in both directions, its policies' and profiles' with them. */
  chainsOf(endpoint: ActiveEndpoint): readonly RenderedChain[] {
    return DIRECTIONS.flatMap((direction) => this.endpoint(endpoint, direction));
  }

  private endpoint(endpoint: ActiveEndpoint, direction: Direction): readonly RenderedChain[] {
    const byDirection = this.known.get(endpoint) ?? new Map<Direction, KnownChains>();
    this.known.set(endpoint, byDirection);
    const known = byDirection.get(direction) ?? this.make(endpoint, direction);
    byDirection.set(direction, known);
    this.cache.keep(known.signature);
    return known.chains;
  }

  private make(endpoint: ActiveEndpoint, direction: Direction): KnownChains {
    const parts: EndpointChain = {
      name: endpointChainName(direction, endpoint.interfaceName),
      direction,
      kind: 'normal',
      noEncapsulation: direction === 'egress',
      tiers: tiersOf(endpoint.policies, direction, this.defaultAction),
      profiles: endpoint.profiles.map(({ name }) => name),
      logDenied: this.logDenied,
    };
    const signature = JSON.stringify(parts);
    const own = this.cache.of(signature, () => endpointChains(parts));
    const policies = endpoint.policies.flatMap((policy) => this.policy(policy, direction) ?? []);
    const profiles = endpoint.profiles.map((profile) => this.profile(profile, direction));
    return { signature, chains: [...own, ...policies, ...profiles] };
  }

  /** A policy's chain; undefined when it does not speak of the direction. */
  policy(policy: Policy, direction: Direction): RenderedChain | undefined {
    const rules = policy[direction];
    if (!rules) return undefined;
    return this.cache.ofObject(policy, direction, () =>
      policyChain(policy, direction, rules, this.family, this.logDenied, this.log),
    );
  }

  profile(profile: Profile, direction: Direction): RenderedChain {
    return this.cache.ofObject(profile, direction, () =>
      profileChain(
        profile.name,
        direction,
        profile[direction],
        this.family,
        this.logDenied,
        this.log,
      ),
    );
  }
}
