// What the kernel shall hold of one address family. Both families share what is known (calculate.ts):
// IPv4's tables hold every local endpoint, IPv6's only those with an IPv6 address. To IPv6 the
// interface of any other is unknown, therefore closed, and such an endpoint costs nothing there.

import type { TableName } from '../kernel/tables.ts';
import { type Cidr, cidrFamily } from '../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import type { HostEndpoints } from './active/host-endpoints.ts';
import type { ActiveEndpoint, LocalEndpoints } from './active/local-endpoints.ts';
import {
  type Additions,
  type Desired,
  type DesiredSet,
  type DesiredTable,
  NOTHING,
} from './desired.ts';
import { FamilySets } from './family-sets.ts';
import { fixedFacts, fixedTables, sameFacts } from './fixed-tables.ts';
import { FloatingNat, floatingPairs } from './floating-nat.ts';
import type { SetIndex } from './members/set-index.ts';
import { FAILSAFES } from './read/failsafes.ts';
import type { RuleSettings } from './read/rule-settings.ts';
import { FilterRenderer } from './render/filter-chains.ts';
import { type HostRendering, type HostTable, hostChains } from './render/host-chains.ts';
import { renderChain } from './render/rule.ts';
import { type FixedFacts, type PolicySettings, sourceChain } from './render/static-chains.ts';
import { runWhole } from './run-whole.ts';
import type { World } from './world.ts';

type Chains = DesiredTable['chains'];

const NO_HOST: Readonly<Record<HostTable, Chains>> = {
  raw: new Map(),
  mangle: new Map(),
  filter: new Map(),
};

/** What both families are calculated from. */
export interface Known {
  readonly node: string;
  readonly settings: PolicySettings;
  /** The same object until FelixConfiguration says otherwise. */
  readonly rules: () => RuleSettings;
  readonly nodeAddress: () => Ip | undefined;
  readonly world: World;
  readonly index: SetIndex;
  readonly local: LocalEndpoints;
  readonly hosts: HostEndpoints;
  /** From now on the index keeps the sets of all active endpoints; they are whole at the end. */
  readonly keepSets: () => Generator<void, void>;
}

export class FamilyCalculator {
  private readonly family: Family;
  private readonly known: Known;
  /** Makes the chains of policies and profiles, and keeps them. */
  filter: FilterRenderer;
  private readonly sets: FamilySets;
  /** What does not depend on any endpoint. */
  private fixed: ReadonlyMap<TableName, DesiredTable>;
  facts: FixedFacts;
  /** Keys of local endpoints that are new or made of something else since the last answer. */
  readonly fresh = new Set<string>();
  private onlyFresh = false;
  /** Endpoints that went since the last answer of `desired`: their chains may still be there. */
  surplus = 0;
  private stale = true;
  private chosen: {
    readonly from: readonly ActiveEndpoint[];
    readonly active: readonly ActiveEndpoint[];
  } = { from: [], active: [] };
  private rendered:
    | { readonly active: readonly ActiveEndpoint[]; readonly filter: DesiredTable }
    | undefined;
  private raw: DesiredTable | undefined;
  private readonly floating = new FloatingNat();
  /** The guarded host interfaces as they were last rendered. */
  private held: Pick<HostRendering, 'guarded' | 'failsafes'> & {
    readonly chains: Readonly<Record<HostTable, Chains>>;
  } = { guarded: [], failsafes: FAILSAFES, chains: NO_HOST };
  private readonly joined = new Map<
    HostTable,
    { readonly table: DesiredTable; readonly host: Chains; readonly both: DesiredTable }
  >();

  constructor(family: Family, known: Known) {
    this.family = family;
    this.known = known;
    this.facts = this.factsNow();
    this.filter = this.newRenderer();
    this.sets = new FamilySets(family, known.world, known.index);
    this.fixed = fixedTables(family, this.facts);
  }

  private newRenderer(): FilterRenderer {
    const { world, settings } = this.known;
    return new FilterRenderer({
      family: this.family,
      rules: this.facts.rules,
      defaultAction: (tier) => world.tier(tier).defaultAction,
      logDenied: settings.logDenied ?? false,
    });
  }

  private factsNow(): FixedFacts {
    const { settings, world, rules } = this.known;
    return fixedFacts(this.family, settings, world, rules());
  }

  // What fixed chains depend on may come and go with pools, services and FelixConfiguration.
  private takeFacts(): void {
    const before = this.facts;
    const now = this.factsNow();
    if (sameFacts(before, now)) return;
    this.facts = now;
    this.fixed = fixedTables(this.family, now);
    this.raw = undefined;
    this.forgetRendered();
    if (now.rules !== before.rules) this.filter = this.newRenderer();
  }

  /** Whether a device carries packets of the family between nodes. */
  get hasTunnel(): boolean {
    const { ipip, vxlanPort } = this.factsNow().tunnelled;
    return ipip || vxlanPort !== undefined;
  }

  /** A local endpoint is new or made of something else. */
  endpointChanged(key: string): void {
    this.fresh.add(key);
  }

  /** It went: no answer will be about it. */
  endpointGone = (key: string): void => void this.fresh.delete(key);

  /** More than endpoints has changed. */
  othersChanged(): void {
    this.onlyFresh = false;
  }

  /** Something has changed; `anyFamily` when also families without endpoints depend on it. */
  changed(anyFamily: boolean): void {
    const { local, hosts } = this.known;
    const held = this.chosen.active.length > 0 || this.held.guarded.length > 0;
    const concerned = this.family === 4 || local.ipv6Count > 0 || hosts.size > 0 || held;
    this.stale ||= anyFamily || concerned;
  }

  /** Whether an answer may differ from the last one. */
  get isStale(): boolean {
    return this.stale;
  }

  /** What an answer would take long for is done beforehand; at each pause anything may change. */
  *prepare(): Generator<void, void> {
    yield* this.known.keepSets();
    yield* this.filter.prepare(this.active());
  }

  /** Everything that the kernel shall hold. */
  desired(): Desired {
    this.fresh.clear();
    this.surplus = 0;
    this.onlyFresh = true;
    this.stale = false;
    this.takeFacts();
    if (this.filter.setLog(this.known.world.logging(this.known.node))) this.forgetRendered();
    const active = this.active();
    const host = this.hostTables();
    const tables = new Map(this.fixed)
      .set('filter', this.filterTable(active, host.filter))
      .set('raw', this.rawTable(active, host.raw))
      .set('mangle', this.withHost('mangle', this.fixed.get('mangle')!, host.mangle));
    const pairs = floatingPairs(this.known.world, this.known.node, active, this.family);
    if (pairs.length === 0 && !this.needsNat()) tables.set('nat', NOTHING.tables.get('nat')!);
    else tables.set('nat', this.floating.table(this.fixed.get('nat')!, pairs));
    return { tables, ipSets: this.ipSets(active) };
  }

  /**
   * What the endpoints that came since the last answer need, for a kernel that holds the rest;
   * endpoints that went are left for `desired`. Undefined when more than endpoints has changed.
   */
  additions(): Additions | undefined {
    if (!this.onlyFresh) return undefined;
    const active = this.active();
    const winners = new Set(active); // of two endpoints on one interface one is active
    const fresh = [...this.fresh]
      .flatMap((key) => this.known.local.activeOf(key) ?? [])
      .filter((endpoint) => winners.has(endpoint));
    this.fresh.clear();
    this.stale = false;
    return {
      chains: fresh.flatMap((endpoint) => this.filter.chainsOf(endpoint)),
      interfaces: fresh.map(({ interfaceName }) => interfaceName),
      ipSets: this.ipSets(active),
    };
  }

  private forgetRendered(): void {
    this.rendered = undefined;
    this.held = { guarded: [], failsafes: FAILSAFES, chains: NO_HOST };
  }

  // The same object as before when it holds the same.
  private active(): readonly ActiveEndpoint[] {
    const from = this.known.local.active();
    if (this.chosen.from === from) return this.chosen.active;
    const active = this.family === 4 ? from : from.filter(({ hasIpv6 }) => hasIpv6);
    const before = this.chosen.active;
    const same = active.length === before.length && active.every((one, i) => one === before[i]);
    this.chosen = { from, active: same ? before : active };
    return this.chosen.active;
  }

  // An IPv6 pool is seldom translated, and some kernels have no IPv6 nat table.
  private needsNat(): boolean {
    const { masquerades, tunnelled } = this.facts;
    return this.family === 4 || masquerades || tunnelled.vxlanPort !== undefined;
  }

  // The same object as before when no endpoint's chains have changed.
  private filterTable(active: readonly ActiveEndpoint[], host: Chains): DesiredTable {
    const known = this.rendered;
    if (known?.active !== active) {
      const fixed = this.fixed.get('filter')!;
      const chains = new Map(this.filter.render(active));
      for (const [name, chain] of fixed.chains) chains.set(name, chain);
      this.rendered = { active, filter: { ...fixed, chains } };
    }
    return this.withHost('filter', this.rendered!.filter, host);
  }

  // The same object as before when no host interface's chains have changed.
  private hostTables(): Readonly<Record<HostTable, Chains>> {
    const { node, world, hosts } = this.known;
    const guarded = hosts.guarded();
    const failsafes = guarded.length > 0 ? world.failsafes(node) : this.held.failsafes;
    const before = this.held;
    if (before.guarded === guarded && before.failsafes === failsafes) return before.chains;
    const { family } = this;
    const defaultAction = (tier: string) => world.tier(tier).defaultAction;
    const { logDenied } = this.known.settings;
    const { rules } = this.facts;
    const parts = { guarded, failsafes, family, defaultAction, rules, renderer: this.filter };
    const chains = hostChains({ ...parts, ...(logDenied ? { logDenied } : {}) });
    this.held = { guarded, failsafes, chains };
    return chains;
  }

  // The same object as before when both parts are.
  private withHost(name: HostTable, table: DesiredTable, host: Chains): DesiredTable {
    if (host.size === 0) return table;
    const before = this.joined.get(name);
    if (before?.table === table && before.host === host) return before.both;
    const chains = new Map(table.chains);
    for (const [chain, rendered] of host) chains.set(chain, rendered);
    const both = { ...table, chains };
    this.joined.set(name, { table, host, both });
    return both;
  }

  private rawTable(active: readonly ActiveEndpoint[], host: Chains): DesiredTable {
    return this.withHost('raw', this.sourceTable(active), host);
  }

  // The same object as before when the same may be sent.
  private sourceTable(active: readonly ActiveEndpoint[]): DesiredTable {
    const { node, world } = this.known;
    const allowed = world.spoofingAllowed(node) ? active : [];
    const nets = (sources: readonly Cidr[]) =>
      sources.filter((net) => cidrFamily(net) === this.family);
    const chain = sourceChain(
      allowed.map(({ interfaceName, sources }) => ({ interfaceName, nets: nets(sources) })),
    );
    const fixed = this.fixed.get('raw')!;
    if (chain.rules.length === 0) return fixed;
    const rendered = renderChain(chain);
    const before = this.raw?.chains.get(chain.name);
    if (this.raw && before?.rules.at(-1)?.hash === rendered.rules.at(-1)!.hash) return this.raw;
    this.raw = { ...fixed, chains: new Map([...fixed.chains, [chain.name, rendered]]) };
    return this.raw;
  }

  private ipSets(active: readonly ActiveEndpoint[]): ReadonlyMap<string, DesiredSet> {
    const { hosts, nodeAddress, keepSets } = this.known;
    runWhole(keepSets());
    const own = nodeAddress();
    return this.sets.of([active, hosts.guarded()], {
      tunnelled: this.facts.tunnelled,
      node: this.known.node,
      needsHosts:
        (this.family === 4 && this.facts.tunnelled.ipip) || this.facts.rules.natExcludesHosts,
      elementsMax: this.facts.rules.setElementsMax,
      externalNodes: this.facts.rules.externalNodes,
      ownAddress: own && familyOf(own) === this.family ? own : undefined,
    });
  }
}
