// This node's host endpoints, and which of them guards which interface.
import type { Ip } from '../../net/ip.ts';
import type { HostEndpoint } from '../read/endpoints.ts';
import type { Policy } from '../read/resources.ts';
import type { World } from '../world.ts';
import { type Applied, AppliedPolicies } from './applied-policies.ts';

/** Stands for every interface that has no host endpoint of its own. */
export const ANY_INTERFACE = 'any-interface-at-all';

/** An interface of the host with what guards it. */
export interface GuardedInterface extends Applied {
  readonly interfaceName: string;
}

type ActiveHost = Applied & Pick<HostEndpoint, 'name' | 'interfaceName' | 'expectedIps'>;

/** Addresses by interface. */
export type InterfaceAddresses = ReadonlyMap<string, readonly Ip[]>;

const NOBODY: readonly GuardedInterface[] = [];

export class HostEndpoints {
  private readonly applied: AppliedPolicies<HostEndpoint, ActiveHost>;
  private addresses: InterfaceAddresses = new Map();
  private known: {
    readonly hosts: readonly ActiveHost[];
    readonly addresses: InterfaceAddresses;
    readonly guarded: readonly GuardedInterface[];
  } = { hosts: [], addresses: this.addresses, guarded: NOBODY };

  constructor(world: World) {
    this.applied = new AppliedPolicies(world, {
      takes: () => true,
      make: ({ name, interfaceName, expectedIps }, { policies, profiles }) => ({
        name,
        interfaceName,
        expectedIps,
        policies,
        profiles,
      }),
      alike: (before, now) =>
        before.interfaceName === now.interfaceName &&
        before.expectedIps.join() === now.expectedIps.join() &&
        before.profiles.join(' ') === now.profiles.join(' '),
    });
  }

  get size(): number {
    return this.applied.size;
  }

  /** Some host endpoint is found by its address. */
  get needsAddresses(): boolean {
    return this.applied.active().some(({ interfaceName }) => interfaceName === undefined);
  }

  put(key: string, host: HostEndpoint): boolean {
    return this.applied.put(key, host);
  }

  remove(key: string): boolean {
    return this.applied.remove(key) !== undefined;
  }

  policyChanged(before: Policy | undefined, now: Policy | undefined): boolean {
    return this.applied.policyChanged(before, now);
  }

  profileChanged(name: string): boolean {
    return this.applied.profileChanged(name);
  }

  tiersChanged(): void {
    this.applied.tiersChanged();
  }

  /** Whether that may change which interfaces are guarded. */
  setAddresses(addresses: InterfaceAddresses): boolean {
    this.addresses = addresses;
    return this.needsAddresses;
  }

  /**
   * By name of the interface, `ANY_INTERFACE` last; the same object until something has changed. A
   * named interface is guarded before it is there. Of two host endpoints that match an interface
   * the one whose name sorts first has it.
   */
  guarded(): readonly GuardedInterface[] {
    const hosts = this.applied.active();
    const { addresses } = this;
    if (this.known.hosts === hosts && this.known.addresses === addresses) return this.known.guarded;
    this.known = {
      hosts,
      addresses,
      guarded: hosts.length > 0 ? assign(hosts, addresses) : NOBODY,
    };
    return this.known.guarded;
  }
}

function assign(
  hosts: readonly ActiveHost[],
  addresses: InterfaceAddresses,
): readonly GuardedInterface[] {
  const guarded = new Map<string, GuardedInterface>();
  const guard = (interfaceName: string, { policies, profiles }: ActiveHost): void => {
    if (!guarded.has(interfaceName))
      guarded.set(interfaceName, { interfaceName, policies, profiles });
  };
  for (const host of hosts.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (host.interfaceName === '*') guard(ANY_INTERFACE, host);
    else if (host.interfaceName) guard(host.interfaceName, host);
    else
      for (const [name, ips] of addresses)
        if (ips.some((ip) => host.expectedIps.includes(ip))) guard(name, host);
  }
  // A pod's interface belongs to the pod.
  const names = [...guarded.keys()].filter((name) => !name.startsWith('cali')).sort(anyLast);
  return names.map((name) => guarded.get(name)!);
}

const anyLast = (a: string, b: string): number =>
  a === ANY_INTERFACE ? 1 : b === ANY_INTERFACE || a < b ? -1 : 1;
