// What the kernel shall hold of one address family. Both families share what is known (calculate.ts):
// IPv4's tables hold every local endpoint, IPv6's only those with an IPv6 address. To IPv6 the
// interface of any other is unknown, therefore closed, and such an endpoint costs nothing there.

import type { TableName } from '../kernel/tables.ts';
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
import { DscpMarks } from './dscp-marks.ts';
import { FamilySets } from './family-sets.ts';
import { fixedFacts, fixedTables, sameFacts } from './fixed-tables.ts';
import { FloatingNat, floatingPairs } from './floating-nat.ts';
import type { SetIndex } from './members/set-index.ts';
import { FAILSAFES } from './read/failsafes.ts';
import type { RuleSettings } from './read/rule-settings.ts';
import { FilterRenderer } from './render/filter-chains.ts';
import { type HostRendering, type HostTable, hostChains } from './render/host-chains.ts';
import type { FixedFacts, PolicySettings } from './render/static-chains.ts';
import { runWhole } from './run-whole.ts';
import { SourceTable } from './source-table.ts';
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
  private readonly sources: SourceTable;
  private readonly floating = new FloatingNat();
  private readonly dscp: DscpMarks;
  /** Whether packets may get a DSCP here: a kernel without its target refuses the table. */
  marksAllowed = true;
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
    this.facts = this.factsNow(false);
    this.filter = this.newRenderer();
    this.sources = new SourceTable(family);
    this.dscp = new DscpMarks(family);
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

  private factsNow(marksDscp: boolean): FixedFacts {
    const { settings, world, rules } = this.known;
    return fixedFacts(this.family, settings, world, rules(), marksDscp);
  }

  // What fixed chains depend on may come and go with pools, services, FelixConfiguration and endpoints
  // that ask for a DSCP.
  private takeFacts(active: readonly ActiveEndpoint[]): void {
    const before = this.facts;
    const asked = this.marksAllowed
      ? [...active.flatMap(({ dscp }) => dscp ?? []), ...this.known.hosts.marks()]
      : [];
    const now = this.factsNow(this.dscp.take(asked));
    if (sameFacts(before, now)) return;
    this.facts = now;
    this.fixed = fixedTables(this.family, now);
    this.forgetRendered();
    if (now.rules !== before.rules) this.filter = this.newRenderer();
  }

  /** Whether a device carries packets of the family between nodes. */
  get hasTunnel(): boolean {
    const { ipip, vxlanPort } = this.factsNow(false).tunnelled;
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
    const active = this.active();
    this.takeFacts(active);
    if (this.filter.setLog(this.known.world.logging(this.known.node))) this.forgetRendered();
    const host = this.hostTables();
    const tables = new Map(this.fixed)
      .set('filter', this.filterTable(active, host.filter))
      .set('raw', this.rawTable(active, host.raw))
      .set(
        'mangle',
        this.withHost('mangle', this.dscp.table(this.fixed.get('mangle')!), host.mangle),
      );
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
    const { node, world } = this.known;
    const allowed = world.spoofingAllowed(node) ? active : [];
    return this.withHost('raw', this.sources.table(this.fixed.get('raw')!, allowed), host);
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
      dscp: this.dscp.set(this.facts.rules.setElementsMax),
      elementsMax: this.facts.rules.setElementsMax,
      externalNodes: this.facts.rules.externalNodes,
      ownAddress: own && familyOf(own) === this.family ? own : undefined,
    });
  }
}
