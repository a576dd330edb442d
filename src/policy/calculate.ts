// From datastore state to kernel state. Fed change by change; `desired()` answers for the state as
// it is now, never for how it came about. Equal parts come back as the same objects, so that the
// comparison with the kernel costs little when little has changed.
import type { TableName } from '../kernel/tables.ts';
import type { Family, Ip } from '../net/ip.ts';
import {
  type Additions,
  type Desired,
  type DesiredSet,
  type DesiredTable,
  renderHooks,
  TABLES,
} from './desired.ts';
import { type ActiveEndpoint, LocalEndpoints } from './local-endpoints.ts';
import type { ParsedRule, SetDefinition } from './parsed-rule.ts';
import { FilterRenderer } from './render/filter-chains.ts';
import { fullName } from './render/policy-chains.ts';
import { renderChain } from './render/rule.ts';
import { type PolicySettings, staticChains } from './render/static-chains.ts';
import type { Policy, Profile } from './resources.ts';
import { SetIndex } from './set-index.ts';
import { fixedSets, netSet, portSet } from './sets.ts';
import { World, type WorldChange } from './world.ts';

export interface CalculatorOptions {
  readonly node: string;
  readonly family: Family;
  readonly settings: PolicySettings;
  readonly nodeAddress: () => Ip | undefined;
}

export class PolicyCalculator {
  private readonly options: CalculatorOptions;
  private readonly world: World;
  private readonly index: SetIndex;
  private readonly local: LocalEndpoints;
  private readonly filter: FilterRenderer;
  /** What does not depend on any endpoint. */
  private readonly fixed: ReadonlyMap<TableName, DesiredTable>;
  /** Keys of local endpoints that are new or made of something else since the last answer. */
  private readonly fresh = new Set<string>();
  private onlyFresh = false;
  private rendered:
    | { readonly active: readonly ActiveEndpoint[]; readonly filter: DesiredTable }
    | undefined;

  constructor(options: CalculatorOptions) {
    this.options = options;
    this.world = new World(options.family);
    this.index = new SetIndex((name) => this.world.profiles.get(name)?.labels);
    this.local = new LocalEndpoints(this.world);
    const { family, settings } = options;
    this.filter = new FilterRenderer(family, (tier) => this.world.tier(tier).defaultAction);
    const fixed = (table: TableName) =>
      staticChains(table, family, settings).map((c) => [c.name, renderChain(c)] as const);
    this.fixed = new Map(
      TABLES.map((table) => [table, { ...renderHooks(table), chains: new Map(fixed(table)) }]),
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
        if (change.now.node !== this.options.node) this.local.remove(key);
        else if (this.local.put(key, change.now)) this.fresh.add(key);
        break;
      case 'networkSet':
        this.index.putItem(key, change.now);
        break;
      case 'itemGone':
        this.index.removeItem(key);
        this.local.remove(key);
        break;
      case 'policy':
        if (this.local.policyChanged(change.before, change.now)) this.onlyFresh = false;
        break;
      case 'profile':
        this.index.profileChanged(change.name);
        if (this.local.profileChanged(change.name)) this.onlyFresh = false;
        break;
      case 'tier':
        this.local.tiersChanged();
        this.onlyFresh = false;
    }
    return change !== undefined;
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
    this.fresh.clear();
    this.onlyFresh = true;
    const active = this.local.active();
    const tables = new Map(this.fixed).set('filter', this.filterTable(active));
    return { tables, ipSets: this.ipSets(active) };
  }

  /**
   * What the endpoints that came since the last answer need, for a kernel that holds the rest;
   * endpoints that went are left for `desired`. Undefined when more than endpoints has changed.
   */
  additions(): Additions | undefined {
    if (!this.onlyFresh) return undefined;
    const active = this.local.active();
    const winners = new Set(active); // of two endpoints on one interface one is active
    const fresh = [...this.fresh]
      .flatMap((key) => this.local.activeOf(key) ?? [])
      .filter((endpoint) => winners.has(endpoint));
    this.fresh.clear();
    return {
      chains: fresh.flatMap((endpoint) => this.filter.chainsOf(endpoint)),
      interfaces: fresh.map(({ interfaceName }) => interfaceName),
      ipSets: this.ipSets(active),
    };
  }

  // The same object as before when no endpoint's chains have changed.
  private filterTable(active: readonly ActiveEndpoint[]): DesiredTable {
    const known = this.rendered;
    if (known?.active === active) return known.filter;
    const fixed = this.fixed.get('filter')!;
    const filter = { ...fixed, chains: new Map([...fixed.chains, ...this.filter.render(active)]) };
    this.rendered = { active, filter };
    return filter;
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

function definitionsOf(active: readonly ActiveEndpoint[]): ReadonlyMap<string, SetDefinition> {
  const owners = new Set<Policy | Profile>();
  for (const { policies, profiles } of active)
    for (const owner of [...policies, ...profiles]) owners.add(owner);
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
