// The datastore as far as policy is concerned, by key. A change answers what it replaced, so that
// the calculator touches only what depends on it.

import type { IpPool } from '../model/ip-pool.ts';
import { parseKey, resourceKey } from '../model/keys.ts';
import type { LabelMap } from '../model/selector/labels.ts';
import { VXLAN_DEFAULTS } from '../model/tunnel.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import { Candidates } from './members/candidates.ts';
import type { Item } from './members/set-index.ts';
import {
  BUILT_IN_PROFILES,
  BUILT_IN_TIERS,
  missingProfile,
  UNKNOWN_TIER,
} from './read/built-in.ts';
import type { Endpoint, HostEndpoint } from './read/endpoints.ts';
import { FAILSAFES, type Failsafes } from './read/failsafes.ts';
import {
  type FelixSettings,
  type NodeAddresses,
  type Policy,
  type PolicyResource,
  type Profile,
  parsePolicyResource,
  type Tier,
} from './read/resources.ts';
import { RULE_DEFAULTS, type RuleSettings } from './read/rule-settings.ts';
import { LOG_DEFAULTS, type LogSettings } from './render/log-action.ts';

export type WorldChange =
  | { readonly kind: 'endpoint'; readonly now: Endpoint }
  | { readonly kind: 'hostEndpoint'; readonly now: HostEndpoint }
  | { readonly kind: 'networkSet'; readonly now: Item }
  | {
      readonly kind: 'policy';
      readonly before: Policy | undefined;
      readonly now: Policy | undefined;
    }
  | { readonly kind: 'profile'; readonly name: string }
  /** An endpoint or a network set is gone. */
  | { readonly kind: 'itemGone' }
  | { readonly kind: 'tier' }
  /** FelixConfiguration, pools or services: fixed chains may depend on it. */
  | { readonly kind: 'settings' }
  | { readonly kind: 'other' };

export class World {
  readonly endpoints = new Map<string, Endpoint>();
  readonly policies = new Map<string, Policy>();
  readonly profiles = new Map<string, Profile>();
  readonly pools = new Map<string, IpPool>();
  /** IPv4 addresses of all nodes, by key. */
  readonly nodes = new Map<string, Ip>();
  readonly ipv6Nodes = new Map<string, Ip>();
  /** Addresses that nodes' VXLAN devices send from, by key. */
  private readonly vteps = new Map<string, readonly Ip[]>();
  /** By name of the FelixConfiguration. */
  private readonly felix = new Map<string, FelixSettings>();
  /** What the environment says of the same. */
  private readonly environment: FelixSettings | undefined;
  private hostPorts = FAILSAFES;
  private log = LOG_DEFAULTS;
  private rules: RuleSettings = RULE_DEFAULTS;
  /** Addresses of services. */
  services: readonly Cidr[] = [];
  private readonly tiers = new Map<string, Tier>();
  private readonly kinds = new Map<string, PolicyResource['kind']>();
  private readonly bySelector = new Candidates<Policy>();
  /** Stand for profiles that do not exist. */
  private readonly missing = new Map<string, Profile>();
  /** Policies with parts that could not be read, by key. */
  readonly troubled = new Map<string, Policy>();
  /** Another one whenever a pool or a node's address has changed. */
  addressesVersion = 0;

  constructor(environment?: FelixSettings) {
    this.environment = environment;
  }

  keys(): readonly string[] {
    return [...this.kinds.keys()];
  }

  /** Undefined: does not concern policy. A value that became unreadable counts as removed. */
  put(key: string, text: string): WorldChange | undefined {
    const resource = parsePolicyResource(key, text);
    if (!resource) return this.remove(key);
    this.kinds.set(key, resource.kind);
    switch (resource.kind) {
      case 'endpoint':
        this.endpoints.set(key, resource.value);
        return { kind: 'endpoint', now: resource.value };
      case 'hostEndpoint':
        return { kind: 'hostEndpoint', now: resource.value };
      case 'networkSet':
        return { kind: 'networkSet', now: resource.value };
      case 'policy': {
        const before = this.policies.get(key);
        this.setPolicy(key, before, resource.value);
        return { kind: 'policy', before, now: resource.value };
      }
      case 'profile':
        this.profiles.set(resource.value.name, resource.value);
        this.missing.delete(resource.value.name);
        return { kind: 'profile', name: resource.value.name };
      case 'tier':
        this.tiers.set(resource.name, resource.value);
        return { kind: 'tier' };
      case 'felix':
        this.felix.set(resource.name, resource.value);
        return { kind: 'settings' };
      case 'services':
        this.services = resource.value;
        return { kind: 'settings' };
      case 'pool':
        this.pools.set(key, resource.value);
        this.addressesVersion++;
        return { kind: 'settings' };
      case 'node':
        return this.putNode(key, resource.value) ? { kind: 'other' } : undefined;
    }
  }

  private putNode(key: string, { address, ipv6, vxlan }: NodeAddresses): boolean {
    const before = [this.nodes.get(key), this.ipv6Nodes.get(key), ...(this.vteps.get(key) ?? [])];
    for (const [ips, ip] of [[this.nodes, address] as const, [this.ipv6Nodes, ipv6] as const])
      if (ip) ips.set(key, ip);
      else ips.delete(key);
    if (vxlan.length > 0) this.vteps.set(key, vxlan);
    else this.vteps.delete(key);
    const changed = before.join() !== [address, ipv6, ...vxlan].join();
    if (changed) this.addressesVersion++;
    return changed;
  }

  /** Addresses that other nodes' VXLAN packets come from. */
  vxlanHosts(family: Family, node: string): readonly Ip[] {
    const own = resourceKey('nodes', node);
    return [...this.vteps].flatMap(([key, ips]) =>
      key === own ? [] : ips.filter((ip) => familyOf(ip) === family),
    );
  }

  /** UDP port of VXLAN. */
  vxlanPort(node: string): number {
    return this.setting(node, 'vxlanPort') ?? VXLAN_DEFAULTS.port;
  }

  /** Answers what was there; undefined when nothing was. */
  remove(key: string): WorldChange | undefined {
    const kind = this.kinds.get(key);
    if (!kind) return undefined;
    this.kinds.delete(key);
    const [before, name] = [this.policies.get(key), nameOf(key)];
    switch (kind) {
      case 'endpoint':
      case 'hostEndpoint':
      case 'networkSet':
        this.endpoints.delete(key);
        return { kind: 'itemGone' };
      case 'policy':
        this.setPolicy(key, before, undefined);
        return { kind: 'policy', before, now: undefined };
      case 'profile':
        this.profiles.delete(name);
        return { kind: 'profile', name };
      case 'tier':
        this.tiers.delete(name);
        return { kind: 'tier' };
      case 'felix':
        this.felix.delete(name);
        return { kind: 'settings' };
      case 'services':
        this.services = [];
        return { kind: 'settings' };
      case 'pool':
        this.pools.delete(key);
        this.addressesVersion++;
        return { kind: 'settings' };
      case 'node':
        this.nodes.delete(key);
        this.ipv6Nodes.delete(key);
        this.vteps.delete(key);
        this.addressesVersion++;
        return { kind: 'other' };
    }
  }

  private setPolicy(key: string, before: Policy | undefined, now: Policy | undefined): void {
    if (before) this.bySelector.remove(before.selector, before);
    this.troubled.delete(key);
    if (!now) {
      this.policies.delete(key);
      return;
    }
    this.policies.set(key, now);
    this.bySelector.add(now.selector, now);
    if (now.problems.length > 0) this.troubled.set(key, now);
  }

  /** At least the policies that select whatever has these labels of its own and inherits those. */
  candidates(maps: readonly (LabelMap | undefined)[]): Iterable<Policy> {
    return this.bySelector.of(maps);
  }

  /** FelixConfiguration workloadSourceSpoofing: the node's over the cluster's. */
  spoofingAllowed(node: string): boolean {
    return this.setting(node, 'spoofing') ?? false;
  }

  /** The same object until something has changed. */
  failsafes(node: string): Failsafes {
    const inbound = this.setting(node, 'failsafeInbound') ?? FAILSAFES.inbound;
    const outbound = this.setting(node, 'failsafeOutbound') ?? FAILSAFES.outbound;
    const before = this.hostPorts;
    if (before.inbound === inbound && before.outbound === outbound) return before;
    this.hostPorts = { inbound, outbound };
    return this.hostPorts;
  }

  /** The same object until something has changed. */
  logging(node: string): LogSettings {
    const prefix = this.setting(node, 'logPrefix') ?? LOG_DEFAULTS.prefix;
    const rate = this.setting(node, 'logRate');
    const burst = this.setting(node, 'logBurst') ?? LOG_DEFAULTS.burst;
    const before = this.log;
    if (before.prefix === prefix && before.rate === rate && before.burst === burst) return before;
    this.log = { prefix, rate, burst };
    return this.log;
  }

  /** How rules are made; the same object until something has changed. */
  ruleSettings(node: string, otherwise: Partial<RuleSettings>): RuleSettings {
    const told = [this.felix.get('default'), this.felix.get(`node.${node}`), this.environment];
    const rules = Object.assign({}, RULE_DEFAULTS, otherwise, ...told.map((one) => one?.rules));
    if (JSON.stringify(rules) !== JSON.stringify(this.rules)) this.rules = rules;
    return this.rules;
  }

  // Felix's order: the environment, the node's configuration, the cluster's.
  setting<K extends keyof FelixSettings>(node: string, name: K): FelixSettings[K] | undefined {
    const own = this.environment?.[name];
    if (own !== undefined) return own;
    return this.felix.get(`node.${node}`)?.[name] ?? this.felix.get('default')?.[name];
  }

  /** The stored one, or what stands for it; the same object until it is stored or another. */
  profile(name: string): Profile {
    const known = this.profiles.get(name) ?? BUILT_IN_PROFILES.get(name) ?? this.missing.get(name);
    if (known) return known;
    const missing = missingProfile(name);
    this.missing.set(name, missing);
    return missing;
  }

  hasTier(name: string): boolean {
    return this.tiers.has(name) || BUILT_IN_TIERS.has(name);
  }

  tier(name: string): Tier {
    return this.tiers.get(name) ?? BUILT_IN_TIERS.get(name) ?? UNKNOWN_TIER;
  }

  /** By tier, then by order and name. */
  inOrder = (policies: Iterable<Policy>): readonly Policy[] => [...policies].sort(this.compare);

  readonly compare = (a: Policy, b: Policy): number =>
    compareNumbers(this.tier(a.tier).order, this.tier(b.tier).order) ||
    compareText(a.tier, b.tier) ||
    compareNumbers(a.order, b.order) ||
    compareText(tieOf(a), tieOf(b));
}

function nameOf(path: string): string {
  const key = parseKey(path);
  return key?.kind === 'resource' || key?.kind === 'namespaced' ? key.name : '';
}

// Felix compares this text as a whole: of policies with one order `web-2` comes before `web`.
const tieOf = ({ name, namespace = '', kind }: Policy): string => `${name}/${namespace}/${kind}`;

// Infinity minus Infinity is no number.
const compareNumbers = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1);
const compareText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);
