// From datastore state to kernel state. Fed change by change; each family's answers (family-calculator.ts)
// are for the state as it is now, never for how it came about. Equal parts come back as the same
// objects, so that the comparison with the kernel costs little when little has changed.
import type { Family, Ip } from '../net/ip.ts';
import type { Applied } from './active/applied-policies.ts';
import {
  type GuardedInterface,
  HostEndpoints,
  type InterfaceAddresses,
} from './active/host-endpoints.ts';
import { readySets, SetsInUse, type User } from './active/in-use.ts';
import { type ActiveEndpoint, LocalEndpoints } from './active/local-endpoints.ts';
import { podName } from './counters/pod-name.ts';
import { FamilyCalculator, type Known } from './family-calculator.ts';
import { SetIndex } from './members/set-index.ts';
import type { Endpoint } from './read/endpoints.ts';
import type { FilterRenderer } from './render/filter-chains.ts';
import { fullName } from './render/policy-chains.ts';
import type { PolicySettings } from './render/static-chains.ts';
import { World, type WorldChange } from './world.ts';

export interface CalculatorOptions {
  readonly node: string;
  readonly settings: PolicySettings;
  readonly nodeAddress: () => Ip | undefined;
}

/** What is known, for who explains what the kernel does: counters, denied packets, live flows. */
export interface PolicyFacts {
  readonly node: string;
  readonly world: World;
  /** Members of the sets that are in use. */
  readonly index: SetIndex;
  /** This node's endpoints as they are stored, by key. */
  stored(): Iterable<readonly [key: string, endpoint: Endpoint]>;
  /** This node's endpoint of a key. */
  endpoint(key: string): ActiveEndpoint | undefined;
  /** This node's endpoints, by interface. */
  endpoints(): readonly ActiveEndpoint[];
  guarded(): readonly GuardedInterface[];
  /** Endpoints and guarded host interfaces. */
  applied(): readonly Applied[];
  /** `namespace/pod` of this node's endpoints, by interface. */
  interfaces(): ReadonlyMap<string, string>;
  renderer(family: Family): FilterRenderer;
  readonly needsIpv6: boolean;
}

export class PolicyCalculator {
  private readonly node: string;
  private readonly world: World;
  private readonly index: SetIndex;
  private readonly local: LocalEndpoints;
  private readonly hosts: HostEndpoints;
  private readonly families: Readonly<Record<Family, FamilyCalculator>>;
  /** The endpoints whose sets the index keeps. */
  private activated: readonly (readonly User[])[] = [];
  private readonly used = new SetsInUse();

  constructor({ node, settings, nodeAddress }: CalculatorOptions) {
    const world = new World(settings.felix);
    this.world = world;
    this.node = node;
    const index = new SetIndex((name) => world.profiles.get(name)?.labels);
    const local = new LocalEndpoints(world);
    this.index = index;
    this.local = local;
    const { endpointToHostAction } = settings;
    const rules = () => world.ruleSettings(node, { endpointToHostAction });
    const hosts = new HostEndpoints(world, () => rules().interfacePrefixes);
    this.hosts = hosts;
    const keepSets = () => this.keepSets();
    const known: Known = {
      node,
      settings,
      rules,
      nodeAddress,
      world,
      index,
      local,
      hosts,
      keepSets,
    };
    this.families = { 4: new FamilyCalculator(4, known), 6: new FamilyCalculator(6, known) };
  }

  /** What the tables and sets of a family shall hold. */
  of(family: Family): FamilyCalculator {
    return this.families[family];
  }

  /** Takes in a stored value; false when it changes nothing here. */
  put(key: string, text: string): boolean {
    return this.take(key, this.world.put(key, text));
  }

  /** Forgets a key; false when it was not known. */
  remove(key: string): boolean {
    return this.take(key, this.world.remove(key));
  }

  private take(key: string, change: WorldChange | undefined): boolean {
    if (!change) return false;
    const both = Object.values(this.families);
    if (this.mattersToOthers(key, change)) for (const family of both) family.othersChanged();
    for (const family of both)
      family.changed(change.kind === 'other' || change.kind === 'settings');
    return true;
  }

  /** Whether more than a local endpoint's own chains, or an address, is different now. */
  private mattersToOthers(key: string, change: WorldChange): boolean {
    switch (change.kind) {
      case 'endpoint': {
        const extras = this.local.extrasOf(key);
        this.index.putItem(key, change.now);
        if (change.now.node !== this.node) this.removeLocal(key);
        else if (this.local.put(key, change.now))
          for (const family of Object.values(this.families)) family.endpointChanged(key);
        return this.local.extrasOf(key) !== extras;
      }
      case 'hostEndpoint':
        this.index.putItem(key, change.now);
        return change.now.node === this.node
          ? this.hosts.put(key, change.now)
          : this.hosts.remove(key);
      case 'networkSet':
        this.index.putItem(key, change.now);
        return false;
      case 'itemGone': {
        // The next pod of its name must not find the interface open.
        const extras = this.local.extrasOf(key);
        this.index.removeItem(key);
        this.removeLocal(key);
        return this.hosts.remove(key) || extras !== '';
      }
      case 'policy':
        return any(
          this.local.policyChanged(change.before, change.now),
          this.hosts.policyChanged(change.before, change.now),
        );
      case 'profile':
        this.index.profileChanged(change.name);
        return any(this.local.profileChanged(change.name), this.hosts.profileChanged(change.name));
      case 'tier':
        this.local.tiersChanged();
        this.hosts.tiersChanged();
        return true;
      case 'settings':
        return true;
      case 'other':
        return false;
    }
  }

  private removeLocal(key: string): void {
    const gone = this.local.remove(key);
    if (!gone) return;
    // A family without endpoints is never asked.
    for (const family of Object.values(this.families)) family.endpointGone(key);
    this.families[4].surplus++;
    if (gone.hasIpv6) this.families[6].surplus++;
  }

  get facts(): PolicyFacts {
    const { node, world, index, local, hosts, families } = this;
    const isNeeded = () => this.needsIpv6;
    return {
      node,
      world,
      index,
      stored: () => local.stored(),
      endpoint: (key) => local.activeOf(key),
      endpoints: () => local.active(),
      guarded: () => hosts.guarded(),
      applied: () => [...local.active(), ...hosts.guarded()],
      interfaces: () => interfacesOf(local.stored()),
      renderer: (family) => families[family].filter,
      get needsIpv6() {
        return isNeeded();
      },
    };
  }

  private *keepSets(): Generator<void, void> {
    const local = this.local.active();
    yield;
    if (local !== this.activated[0]) yield* readySets(local);
    const active = [this.local.active(), this.hosts.guarded()];
    if (active.some((part, i) => part !== this.activated[i])) {
      const { come, gone } = this.used.take(active);
      this.index.keep(
        come,
        gone.map(({ id }) => id),
      );
      this.activated = active;
      yield;
    }
    yield* this.index.ask();
  }

  /** Whether a stored endpoint has an IPv6 address. */
  hasIpv6(key: string): boolean {
    return this.world.endpoints.get(key)?.hasIpv6 ?? false;
  }

  /** Whether an endpoint of this node has an IPv6 address, or may have one. */
  get needsIpv6(): boolean {
    const { ipv6Count } = this.local;
    return ipv6Count > 0 || this.hosts.size > 0 || this.families[6].hasTunnel;
  }

  /** Whether `setHostAddresses` matters. */
  get needsHostAddresses(): boolean {
    return this.hosts.needsAddresses;
  }

  /** The host's interfaces have these addresses now; false when that changes nothing here. */
  setHostAddresses(addresses: InterfaceAddresses): boolean {
    if (!this.hosts.setAddresses(addresses)) return false;
    for (const family of Object.values(this.families)) {
      family.othersChanged();
      family.changed(false);
    }
    return true;
  }

  /** The keys that are held. */
  keys(): readonly string[] {
    return this.world.keys();
  }

  /** What could not be read, by resource; what it may have meant is closed. */
  problems(): readonly string[] {
    return [...this.world.troubled.values()].flatMap((policy) =>
      policy.problems.map((problem) => `${policy.kind} ${fullName(policy)}: ${problem}`),
    );
  }
}

function interfacesOf(
  endpoints: ReturnType<LocalEndpoints['stored']>,
): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const [key, { interfaceName }] of endpoints)
    if (interfaceName !== undefined) names.set(interfaceName, podName(key));
  return names;
}

/** All are asked, whatever the first one says. */
const any = (...changed: readonly boolean[]): boolean => changed.includes(true);
