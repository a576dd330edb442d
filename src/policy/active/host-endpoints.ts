// This node's host endpoints, and which of them guards which interface.
import type { Ip } from '../../net/ip.ts';
import { type DscpMark, type HostEndpoint, sameMark } from '../read/endpoints.ts';
import type { Policy } from '../read/resources.ts';
import type { World } from '../world.ts';
import { type Applied, AppliedPolicies } from './applied-policies.ts';

/** Stands for every interface that has no host endpoint of its own. */
export const ANY_INTERFACE = 'any-interface-at-all';

/** An interface of the host with what guards it. */
export interface GuardedInterface extends Applied {
  readonly interfaceName: string;
}

type ActiveHost = Applied & Pick<HostEndpoint, 'name' | 'interfaceName' | 'expectedIps' | 'dscp'>;

/** Addresses by interface. */
export type InterfaceAddresses = ReadonlyMap<string, readonly Ip[]>;

const NOBODY: readonly GuardedInterface[] = [];

export class HostEndpoints {
  private readonly applied: AppliedPolicies<HostEndpoint, ActiveHost>;
  private readonly prefixes: () => readonly string[];
  private addresses: InterfaceAddresses = new Map();
  private known: {
    readonly hosts: readonly ActiveHost[];
    readonly addresses: InterfaceAddresses;
    readonly prefixes: readonly string[];
    readonly guarded: readonly GuardedInterface[];
  } = { hosts: [], addresses: this.addresses, prefixes: [], guarded: NOBODY };

  /** `prefixes` answers what names of workloads' interfaces begin with. */
  constructor(world: World, prefixes: () => readonly string[]) {
    this.prefixes = prefixes;
    this.applied = new AppliedPolicies(world, {
      takes: () => true,
      make: ({ name, interfaceName, expectedIps, dscp }, { policies, profiles }) => ({
        name,
        interfaceName,
        expectedIps,
        dscp,
        policies,
        profiles,
      }),
      alike: (before, now) =>
        before.interfaceName === now.interfaceName &&
        before.expectedIps.join() === now.expectedIps.join() &&
        sameMark(before.dscp, now.dscp) &&
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

  /** What packets of the host's own addresses shall carry. */
  marks(): readonly DscpMark[] {
    return this.applied.active().flatMap(({ dscp }) => dscp ?? []);
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
    if (hosts.length === 0 && this.known.hosts.length === 0) return NOBODY;
    const { addresses, known } = this;
    const prefixes = this.prefixes();
    if (known.hosts === hosts && known.addresses === addresses && known.prefixes === prefixes)
      return known.guarded;
    const guarded = hosts.length > 0 ? assign(hosts, addresses, prefixes) : NOBODY;
    this.known = { hosts, addresses, prefixes, guarded };
    return this.known.guarded;
  }
}

function assign(
  hosts: readonly ActiveHost[],
  addresses: InterfaceAddresses,
  prefixes: readonly string[],
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
  const names = [...guarded.keys()]
    .filter((name) => !prefixes.some((prefix) => name.startsWith(prefix)))
    .sort(anyLast);
  return names.map((name) => guarded.get(name)!);
}

const anyLast = (a: string, b: string): number =>
  a === ANY_INTERFACE ? 1 : b === ANY_INTERFACE || a < b ? -1 : 1;
