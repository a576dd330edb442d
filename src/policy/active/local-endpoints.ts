// This node's workload endpoints and what applies to each.
import type { Cidr } from '../../net/cidr.ts';
import {
  type AddressPair,
  type DscpMark,
  type Endpoint,
  type Limits,
  sameLimits,
} from '../read/endpoints.ts';
import type { Policy } from '../read/resources.ts';
import type { World } from '../world.ts';
import { type Applied, AppliedPolicies } from './applied-policies.ts';

/** An endpoint with everything its chains are made of, in order. */
export interface ActiveEndpoint extends Applied {
  readonly interfaceName: string;
  readonly hasIpv6: boolean;
  readonly sources: readonly Cidr[];
  readonly nats: readonly AddressPair[];
  readonly limits: Limits;
  readonly dscp: DscpMark | undefined;
}

type Made = Omit<ActiveEndpoint, 'interfaceName'> & Pick<Endpoint, 'interfaceName'>;

export class LocalEndpoints {
  private readonly applied: AppliedPolicies<Endpoint, Made>;
  private chosen: {
    readonly from: readonly Made[];
    readonly active: readonly ActiveEndpoint[];
  } = { from: [], active: [] };
  /** How many have an IPv6 address. */
  ipv6Count = 0;

  constructor(world: World) {
    this.applied = new AppliedPolicies(world, {
      takes: ({ use }) => use === 'normal',
      make: ({ interfaceName, hasIpv6, sources, nats, limits, dscp }, { policies, profiles }) => ({
        interfaceName,
        hasIpv6,
        sources,
        nats,
        limits,
        dscp,
        policies,
        profiles,
      }),
      alike,
    });
  }

  /** False: it is made of the same as before; only addresses may have changed. */
  put(key: string, endpoint: Endpoint): boolean {
    const before = this.applied.get(key);
    this.ipv6Count += Number(endpoint.hasIpv6) - Number(before?.hasIpv6 ?? false);
    return this.applied.put(key, endpoint);
  }

  /** Answers the endpoint that was there. */
  remove(key: string): Endpoint | undefined {
    const before = this.applied.remove(key);
    this.ipv6Count -= Number(before?.hasIpv6 ?? false);
    return before;
  }

  /** As they are stored, by key. */
  stored(): Iterable<readonly [key: string, endpoint: Endpoint]> {
    return this.applied.endpoints();
  }

  /** What the endpoint has in tables besides its own chains, as text; empty: nothing. */
  extrasOf(key: string): string {
    const endpoint = this.applied.get(key);
    return endpoint ? extrasOf(endpoint) : '';
  }

  /** Whether that matters to an endpoint here. */
  policyChanged(before: Policy | undefined, now: Policy | undefined): boolean {
    return this.applied.policyChanged(before, now);
  }

  /** Whether an endpoint here has that profile. */
  profileChanged(name: string): boolean {
    return this.applied.profileChanged(name);
  }

  /** The order of policies may have changed. */
  tiersChanged(): void {
    this.applied.tiersChanged();
  }

  /** The endpoint of a key; undefined without an interface. */
  activeOf(key: string): ActiveEndpoint | undefined {
    const made = this.applied.activeOf(key);
    return made && hasInterface(made) ? made : undefined;
  }

  /** By interface, in key order. Of two endpoints on one interface the later key wins. */
  active(): readonly ActiveEndpoint[] {
    const from = this.applied.active();
    if (this.chosen.from === from) return this.chosen.active;
    const byInterface = new Map<string, ActiveEndpoint>();
    for (const made of from) if (hasInterface(made)) byInterface.set(made.interfaceName, made);
    this.chosen = { from, active: [...byInterface.values()] };
    return this.chosen.active;
  }
}

const extrasOf = ({ sources, nats, dscp }: Pick<Endpoint, 'sources' | 'nats' | 'dscp'>): string =>
  [
    ...sources,
    ...nats.map(({ internal, external }) => `${external}=${internal}`),
    ...(dscp ? [`dscp ${dscp.value}`, ...dscp.addresses] : []),
  ].join(' ');

const hasInterface = (made: Made): made is ActiveEndpoint => made.interfaceName !== undefined;

// An endpoint's address does not enter its chains; whether it has one of IPv6 decides where they are.
const alike = (before: Endpoint, now: Endpoint): boolean =>
  before.interfaceName === now.interfaceName &&
  before.hasIpv6 === now.hasIpv6 &&
  extrasOf(before) === extrasOf(now) &&
  sameLimits(before.limits, now.limits) &&
  before.profiles.join(' ') === now.profiles.join(' ');
