// All chains of the filter table that depend on this node's endpoints: dispatch, endpoints, their
// policies and profiles. Only chains that some rule jumps to are there. What is the same for the same
// endpoints and policies is kept: hashing is the dear part of rendering.

import type { TableName } from '../../kernel/tables.ts';
import type { Family } from '../../net/ip.ts';
import { type Owner, OwnersInUse } from '../active/in-use.ts';
import type { ActiveEndpoint } from '../active/local-endpoints.ts';
import { type MarkBits, markBits } from '../mark-bits.ts';
import { sameLimits } from '../read/endpoints.ts';
import type { Policy, Profile } from '../read/resources.ts';
import type { RuleSettings } from '../read/rule-settings.ts';
import { dispatchChains } from './dispatch-chains.ts';
import { endpointChains } from './endpoint-chains.ts';
import { type Verdicts, verdictsOf } from './fragments.ts';
import { LOG_DEFAULTS, type LogSettings } from './log-action.ts';
import { type Direction, endpointChainName } from './names.ts';
import { policyChain, profileChain } from './policy-chains.ts';
import { type DefaultAction, tiersOf } from './policy-tiers.ts';
import { type Chain, type RenderedChain, renderChain } from './rule.ts';

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** An endpoint's own chains in both directions, with those of its groups of policies. */
interface Own {
  readonly endpoint: ActiveEndpoint;
  readonly actions: string;
  readonly chains: readonly RenderedChain[];
}

export interface FilterRendererOptions {
  readonly family: Family;
  readonly defaultAction: DefaultAction;
  readonly rules: RuleSettings;
  readonly logDenied?: boolean;
}

export class FilterRenderer {
  private readonly options: FilterRendererOptions;
  private readonly verdicts: Verdicts;
  private readonly bits: MarkBits | undefined;
  private log = LOG_DEFAULTS;
  /** By policy or profile. */
  private rendered = new WeakMap<Owner, Map<string, RenderedChain>>();
  private readonly made = new WeakMap<ActiveEndpoint, Own>();
  private readonly owners = new OwnersInUse();
  private readonly inUse = new Set<Owner>();
  private active: readonly ActiveEndpoint[] | undefined;
  /** Of `active`, by interface. */
  private readonly own = new Map<string, Own>();
  /** How many endpoints have a chain of this name among their own. */
  private readonly users = new Map<string, number>();
  private readonly dispatching = new Map<string, { readonly text: string; chain: RenderedChain }>();
  /** All that `active` needs. */
  private readonly chains = new Map<string, RenderedChain>();

  constructor(options: FilterRendererOptions) {
    this.options = options;
    this.verdicts = verdictsOf(options.rules, 'filter');
    this.bits = markBits(options.rules.markMask);
  }

  /** What Log rules do from now on; false: as before. */
  setLog(log: LogSettings): boolean {
    if (this.log === log) return false;
    this.log = log;
    this.rendered = new WeakMap();
    for (const owner of this.inUse) this.enter(owner);
    return true;
  }

  /** The chains by name; the next call changes this very map. */
  render(active: readonly ActiveEndpoint[]): ReadonlyMap<string, RenderedChain> {
    if (active === this.active) return this.chains;
    this.active = active;
    const { come, gone } = this.owners.take(active);
    for (const owner of gone) this.forget(owner);
    for (const owner of come) this.enter(owner);
    const there = new Set(active.map(({ interfaceName }) => interfaceName));
    for (const endpoint of active) this.enterOwn(endpoint);
    for (const [name, own] of this.own)
      if (!there.has(name)) {
        this.own.delete(name);
        this.release(own);
      }
    this.dispatch([...there]);
    return this.chains;
  }

  /** Makes the dear part of what `render` will ask for; a pause after each piece. */
  *prepare(active: readonly ActiveEndpoint[]): Generator<void, void> {
    for (const endpoint of active) {
      if (this.own.get(endpoint.interfaceName)?.endpoint === endpoint) continue;
      for (const owner of [...endpoint.policies, ...endpoint.profiles]) {
        this.ofOwner(owner);
        yield;
      }
      this.ownOf(endpoint);
      yield;
    }
  }

  private enter(owner: Owner): void {
    this.inUse.add(owner);
    for (const chain of this.ofOwner(owner)) this.chains.set(chain.name, chain);
  }

  private forget(owner: Owner): void {
    this.inUse.delete(owner);
    for (const { name } of this.ofOwner(owner)) this.chains.delete(name);
  }

  private enterOwn(endpoint: ActiveEndpoint): void {
    const { interfaceName } = endpoint;
    const before = this.own.get(interfaceName);
    if (before?.endpoint === endpoint) return;
    const own = this.ownOf(endpoint);
    this.own.set(interfaceName, own);
    if (own.chains === before?.chains) return;
    for (const { name } of own.chains) this.users.set(name, (this.users.get(name) ?? 0) + 1);
    if (before) this.release(before);
    for (const chain of own.chains) this.chains.set(chain.name, chain);
  }

  private release({ chains }: Own): void {
    for (const { name } of chains) {
      const left = this.users.get(name)! - 1;
      if (left > 0) this.users.set(name, left);
      else {
        this.users.delete(name);
        this.chains.delete(name);
      }
    }
  }

  private dispatch(interfaceNames: readonly string[]): void {
    const wanted = DIRECTIONS.flatMap((direction) =>
      dispatchChains(direction, interfaceNames, this.verdicts.deny),
    );
    const names = new Set(wanted.map(({ name }) => name));
    for (const name of this.dispatching.keys())
      if (!names.has(name)) {
        this.dispatching.delete(name);
        this.chains.delete(name);
      }
    for (const chain of wanted) {
      const text = chain.rules.map(({ match }) => match).join(' ');
      const known = this.dispatching.get(chain.name);
      if (known?.text === text) continue;
      const rendered = renderChain(chain, this.bits);
      this.dispatching.set(chain.name, { text, chain: rendered });
      this.chains.set(chain.name, rendered);
    }
  }

  /** The chains of one endpoint in both directions, its policies' and profiles' with them. */
  chainsOf(endpoint: ActiveEndpoint): readonly RenderedChain[] {
    const owners: readonly Owner[] = [...endpoint.policies, ...endpoint.profiles];
    return [...this.ownOf(endpoint).chains, ...owners.flatMap((owner) => this.ofOwner(owner))];
  }

  private ownOf(endpoint: ActiveEndpoint): Own {
    const known = this.made.get(endpoint);
    const actions = this.actionsOf(endpoint);
    if (known?.actions === actions) return known;
    const before = this.own.get(endpoint.interfaceName);
    const chains =
      before?.actions === actions && isAlike(before.endpoint, endpoint)
        ? before.chains
        : DIRECTIONS.flatMap((direction) => this.make(endpoint, direction)).map((chain) =>
            renderChain(chain, this.bits),
          );
    const own = { endpoint, actions, chains };
    this.made.set(endpoint, own);
    return own;
  }

  /** How the endpoint's tiers end, as text. */
  private actionsOf({ policies }: ActiveEndpoint): string {
    const tiers = [...new Set(policies.map(({ tier }) => tier))];
    return tiers.map((tier) => `${tier} ${this.options.defaultAction(tier)}`).join(' ');
  }

  private make(endpoint: ActiveEndpoint, direction: Direction): readonly Chain[] {
    const { defaultAction, logDenied = false, rules } = this.options;
    return endpointChains({
      name: endpointChainName(direction, endpoint.interfaceName),
      direction,
      kind: 'normal',
      verdicts: this.verdicts,
      ignoresInvalid: !rules.checksInvalid,
      forbidden: direction === 'egress' ? forbiddenTunnels(rules) : {},
      tiers: tiersOf(endpoint.policies, direction, defaultAction),
      profiles: endpoint.profiles.map(({ name }) => name),
      limit: endpoint.limits[direction],
      logDenied,
    });
  }

  private ofOwner(owner: Owner): readonly RenderedChain[] {
    if (!('tier' in owner)) return DIRECTIONS.map((direction) => this.profile(owner, direction));
    return DIRECTIONS.flatMap((direction) => this.policy(owner, direction) ?? []);
  }

  /**
   * A policy's chain; undefined when it does not speak of the direction. Other tables than filter know
   * no other denial than DROP.
   */
  policy(
    policy: Policy,
    direction: Direction,
    table: TableName = 'filter',
  ): RenderedChain | undefined {
    const rules = policy[direction];
    if (!rules || policy.isStaged) return undefined;
    const { family, logDenied = false } = this.options;
    return this.ofTable(policy, direction, table, (deny) =>
      policyChain(policy, direction, rules, family, { logDenied, log: this.log, deny }),
    );
  }

  profile(profile: Profile, direction: Direction, table: TableName = 'filter'): RenderedChain {
    const { family, logDenied = false } = this.options;
    const { name } = profile;
    return this.ofTable(profile, direction, table, (deny) =>
      profileChain(name, direction, profile[direction], family, {
        logDenied,
        log: this.log,
        deny,
      }),
    );
  }

  // The same for all tables unless denied packets are rejected.
  private ofTable(
    owner: Owner,
    direction: Direction,
    table: TableName,
    make: (deny: string) => Chain,
  ): RenderedChain {
    const { deny } = verdictsOf(this.options.rules, table);
    const isUsual = deny === this.verdicts.deny;
    return this.once(owner, isUsual ? direction : `${direction} elsewhere`, () => make(deny));
  }

  private once(owner: Owner, direction: string, make: () => Chain): RenderedChain {
    const known = this.rendered.get(owner) ?? new Map<string, RenderedChain>();
    this.rendered.set(owner, known);
    const chain = known.get(direction) ?? renderChain(make(), this.bits);
    known.set(direction, chain);
    return chain;
  }
}

/** Tunnels that workloads must not send. */
const forbiddenTunnels = ({ vxlanPort, allowsVxlan, allowsIpip }: RuleSettings) => ({
  ...(allowsVxlan ? {} : { vxlanPort }),
  ipip: !allowsIpip,
});

/** Whether the endpoints' own chains, which name policies and profiles, are the same. */
function isAlike(a: ActiveEndpoint, b: ActiveEndpoint): boolean {
  return (
    sameLimits(a.limits, b.limits) &&
    a.policies.length === b.policies.length &&
    a.profiles.length === b.profiles.length &&
    a.policies.every((policy, i) => isNamedAlike(policy, b.policies[i]!)) &&
    a.profiles.every(({ name }, i) => name === b.profiles[i]!.name)
  );
}

const isNamedAlike = (a: Policy, b: Policy): boolean =>
  a === b ||
  (a.id === b.id &&
    a.tier === b.tier &&
    a.selectorText === b.selectorText &&
    (a.ingress === undefined) === (b.ingress === undefined) &&
    (a.egress === undefined) === (b.egress === undefined));
