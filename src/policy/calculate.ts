// From datastore state to kernel state. Fed change by change; `desired()` answers for the state as
// it is now, never for how it came about. Equal parts come back as the same objects, so that the
// comparison with the kernel costs little when little has changed.
import type { TableName } from '../kernel/tables.ts';
import { type Labels, matches } from '../model/selector/match.ts';
import type { Family, Ip } from '../net/ip.ts';
import { type Desired, type DesiredSet, renderHooks, TABLES } from './desired.ts';
import { labelsOf } from './labels.ts';
import { DENY_ALL, type ParsedRule, type SetDefinition } from './parsed-rule.ts';
import { RenderCache } from './render/cache.ts';
import { dispatchChains } from './render/dispatch-chains.ts';
import { type EndpointDirection, endpointChains } from './render/endpoint-chains.ts';
import type { Direction } from './render/names.ts';
import { fullName, policyChain, profileChain } from './render/policy-chains.ts';
import { type RenderedChain, renderChain } from './render/rule.ts';
import { type PolicySettings, staticChains } from './render/static-chains.ts';
import type { Endpoint, Policy, Profile } from './resources.ts';
import { SetIndex } from './set-index.ts';
import { fixedSets, netSet, portSet } from './sets.ts';
import { World, type WorldChange } from './world.ts';

export interface CalculatorOptions {
  readonly node: string;
  readonly family: Family;
  readonly settings: PolicySettings;
  readonly nodeAddress: () => Ip | undefined;
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

export class PolicyCalculator {
  private readonly options: CalculatorOptions;
  private readonly world: World;
  private readonly index: SetIndex;
  private readonly cache = new RenderCache();
  /** Local endpoint -> policies whose selector holds for it. */
  private readonly applying = new Map<string, Set<Policy>>();
  private readonly fixed: ReadonlyMap<TableName, readonly RenderedChain[]>;
  private readonly hooks = new Map(TABLES.map((table) => [table, renderHooks(table)]));

  constructor(options: CalculatorOptions) {
    this.options = options;
    this.world = new World(options.family);
    this.index = new SetIndex((name) => this.world.profiles.get(name)?.labels);
    const { family, settings } = options;
    this.fixed = new Map(
      TABLES.map((table) => [table, staticChains(table, family, settings).map(renderChain)]),
    );
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
    switch (change?.kind) {
      case 'endpoint':
        this.index.putItem(key, change.now);
        if (change.now.node === this.options.node) this.match(key, change.now);
        else this.applying.delete(key);
        break;
      case 'networkSet':
        this.index.putItem(key, change.now);
        break;
      case 'itemGone':
        this.index.removeItem(key);
        this.applying.delete(key);
        break;
      case 'policy':
        this.policyChanged(change.before, change.now);
        break;
      case 'profile':
        this.index.profileChanged(change.name);
        for (const key of this.applying.keys()) {
          const endpoint = this.world.endpoints.get(key)!;
          if (endpoint.profiles.includes(change.name)) this.match(key, endpoint);
        }
    }
    return change !== undefined;
  }

  private match(key: string, endpoint: Endpoint): void {
    const labels = this.labelsOf(endpoint);
    const all = [...this.world.policies.values()];
    this.applying.set(key, new Set(all.filter(({ selector }) => matches(selector, labels))));
  }

  private policyChanged(before: Policy | undefined, now: Policy | undefined): void {
    for (const [key, policies] of this.applying) {
      if (before) policies.delete(before);
      const labels = now && this.labelsOf(this.world.endpoints.get(key)!);
      if (now && labels && matches(now.selector, labels)) policies.add(now);
    }
  }

  private labelsOf(endpoint: Endpoint): Labels {
    const inherited = endpoint.profiles.map((name) => this.world.profiles.get(name)?.labels);
    return labelsOf(endpoint.labels, inherited);
  }

  /** The keys that are held. */
  keys(): readonly string[] {
    return this.world.keys();
  }

  /** What could not be read, by resource; what it may have meant is closed. */
  problems(): readonly string[] {
    return [...this.world.policies.values()].flatMap((policy) =>
      policy.problems.map((problem) => `${policy.kind} ${fullName(policy)}: ${problem}`),
    );
  }

  /** Everything that the kernel shall hold. */
  desired(): Desired {
    const active = this.active();
    const filter = this.endpointsFilter(active);
    this.cache.sweep();
    const tables = TABLES.map((table) => {
      const chains = [...this.fixed.get(table)!, ...(table === 'filter' ? filter : [])];
      const byName = new Map(chains.map((chain) => [chain.name, chain]));
      return [table, { ...this.hooks.get(table)!, chains: byName }] as const;
    });
    return { tables: new Map(tables), ipSets: this.ipSets(active) };
  }

  /** Local endpoints by interface, with what applies to them. Of two on one, the later key wins. */
  private active(): readonly ActiveEndpoint[] {
    const byInterface = new Map<string, ActiveEndpoint>();
    for (const key of [...this.applying.keys()].sort()) {
      const { interfaceName, profiles } = this.world.endpoints.get(key)!;
      if (!interfaceName) continue;
      byInterface.set(interfaceName, {
        interfaceName,
        policies: this.world.inOrder(this.applying.get(key)!),
        profiles: profiles.map((name) => this.world.profiles.get(name) ?? missingProfile(name)),
      });
    }
    return [...byInterface.values()];
  }

  private endpointsFilter(active: readonly ActiveEndpoint[]): readonly RenderedChain[] {
    const { family } = this.options;
    const names = active.map(({ interfaceName }) => interfaceName);
    return DIRECTIONS.flatMap((direction) => [
      ...this.cache.of(`${direction} ${names.join(' ')}`, () => dispatchChains(direction, names)),
      ...active.flatMap((endpoint) => {
        const parts = this.directionOf(endpoint, direction);
        const own = this.cache.of(JSON.stringify(parts), () => endpointChains(parts));
        const policies = endpoint.policies.flatMap((policy) => {
          const rules = policy[direction];
          const make = () => policyChain(policy, direction, rules ?? [], family);
          return rules ? [this.cache.ofObject(policy, direction, make)] : [];
        });
        const profiles = endpoint.profiles.map((profile) => {
          const make = () => profileChain(profile.name, direction, profile[direction], family);
          return this.cache.ofObject(profile, direction, make);
        });
        return [...own, ...policies, ...profiles];
      }),
    ]);
  }

  private directionOf(endpoint: ActiveEndpoint, direction: Direction): EndpointDirection {
    const there = endpoint.policies.filter((policy) => policy[direction] !== undefined);
    return {
      interfaceName: endpoint.interfaceName,
      direction,
      tiers: [...Map.groupBy(there, ({ tier }) => tier)].map(([name, policies]) => ({
        name,
        defaultAction: this.world.tier(name).defaultAction,
        policies: policies.map(({ id, kind, name, namespace, selectorText }) => ({
          id,
          kind,
          name,
          namespace,
          selectorText,
        })),
      })),
      profiles: endpoint.profiles.map(({ name }) => name),
    };
  }

  private ipSets(active: readonly ActiveEndpoint[]): ReadonlyMap<string, DesiredSet> {
    const { family, settings } = this.options;
    const definitions = definitionsOf(active);
    this.index.activate(definitions);
    const sets = [
      ...fixedSets({
        family,
        pools: [...this.world.pools.values()],
        hosts: settings.ipipEnabled ? [...this.world.nodes.values()] : undefined,
        nodeAddress: this.options.nodeAddress(),
      }),
      ...[...definitions].map(([id, { port }]) =>
        (port ? portSet : netSet)(family, id, this.index.members(id)),
      ),
    ];
    return new Map(sets.map((set) => [set.meta.name, set]));
  }
}

interface ActiveEndpoint {
  readonly interfaceName: string;
  readonly policies: readonly Policy[];
  readonly profiles: readonly Profile[];
}

// An endpoint that names a profile which does not exist is closed by it.
function missingProfile(name: string): Profile {
  return { name, ingress: [DENY_ALL], egress: [DENY_ALL], labels: {} };
}

function definitionsOf(active: readonly ActiveEndpoint[]): ReadonlyMap<string, SetDefinition> {
  const owners = new Set<Policy | Profile>(
    active.flatMap(({ policies, profiles }) => [...policies, ...profiles]),
  );
  const definitions = new Map<string, SetDefinition>();
  for (const { ingress = [], egress = [] } of owners)
    for (const rule of [...ingress, ...egress])
      for (const set of setsOf(rule)) definitions.set(set.id, set);
  return definitions;
}

const setsOf = ({ source, destination }: ParsedRule): readonly SetDefinition[] =>
  [source, destination].flatMap(({ sets, notSets, portSets, notPortSets }) => [
    ...sets,
    ...notSets,
    ...portSets,
    ...notPortSets,
  ]);
