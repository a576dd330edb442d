// Stored resources as the policy engine wants them: parsed once, at arrival.
import type { Result } from '../../base/result.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import type { HostEndpointSpec } from '../../model/host-endpoint.ts';
import { checkIpPoolSpec, type IpPool, type IpPoolSpec } from '../../model/ip-pool.ts';
import { type Key, parseKey } from '../../model/keys.ts';
import type { NetworkSetSpec } from '../../model/network-set.ts';
import { type NodeSpec, nodeAddress } from '../../model/node.ts';
import type { ProfileSpec, TierSpec } from '../../model/policy.ts';
import { parseResource } from '../../model/resource.ts';
import type { LabelMap } from '../../model/selector/labels.ts';
import type { Selector } from '../../model/selector/selector.ts';
import { SERVICE_ENDPOINTS, type ServiceEndpointsSpec } from '../../model/service-endpoints.ts';
import type { WorkloadEndpointSpec } from '../../model/workload-endpoint.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import type { Item } from '../members/set-index.ts';
import { isRate } from '../render/log-action.ts';
import type { PolicyIdentity } from '../render/policy-chains.ts';
import {
  type Endpoint,
  endpointOf,
  type HostEndpoint,
  hostEndpointOf,
  networkSetOf,
  serviceItem,
} from './endpoints.ts';
import { type Failsafe, failsafesOf } from './failsafes.ts';
import { type ParsedRule, parseRules } from './parsed-rule.ts';
import { policyOf, stagedPolicyOf } from './policy.ts';
import { type RuleSettings, ruleSettingsOf } from './rule-settings.ts';
import { type ServiceNetworks, serviceNetworks } from './service-networks.ts';
import {
  checkEndpointSpec,
  checkFelixConfigurationSpec,
  checkHostEndpointSpec,
  checkNetworkSetSpec,
  checkNodeSpec,
  checkProfileSpec,
  checkServiceEndpointsSpec,
  checkTierSpec,
} from './shape.ts';

/** Where a policy is asked: in the ordinary way, before DNAT, or without connection tracking. */
export type PolicyUse = 'normal' | 'preDnat' | 'untracked';

export interface Policy extends PolicyIdentity {
  readonly tier: string;
  /** All but normal ones are for host endpoints only. */
  readonly use: PolicyUse;
  /** Host endpoints ask it about forwarded packets too. */
  readonly applyOnForward: boolean;
  /** Nothing is asked of it; Felix's names of groups and the ends of tiers depend on it all the same. */
  readonly isStaged: boolean;
  /** Infinity when absent. */
  readonly order: number;
  readonly selector: Selector;
  readonly selectorText: string;
  readonly ingress: readonly ParsedRule[] | undefined;
  readonly egress: readonly ParsedRule[] | undefined;
  /** What could not be read, and how it was closed. */
  readonly problems: readonly string[];
}

export interface Profile {
  readonly name: string;
  readonly ingress: readonly ParsedRule[];
  readonly egress: readonly ParsedRule[];
  readonly labels: LabelMap;
}

/** What a node's FelixConfiguration says; undefined: nothing. */
export interface FelixSettings {
  /** Whether endpoints get the `sources` that they ask for. */
  readonly spoofing: boolean | undefined;
  /** Whether endpoints are reached under floating addresses. */
  readonly floating: boolean | undefined;
  /** Whether the host is told to forward packets. */
  readonly forwarding: boolean | undefined;
  readonly failsafeInbound: readonly Failsafe[] | undefined;
  readonly failsafeOutbound: readonly Failsafe[] | undefined;
  readonly logPrefix: string | undefined;
  readonly logRate: string | undefined;
  readonly logBurst: number | undefined;
  /** UDP port of VXLAN. */
  readonly vxlanPort: number | undefined;
  readonly rules: Partial<RuleSettings>;
}

export interface Tier {
  readonly order: number;
  readonly defaultAction: 'Deny' | 'Pass';
}

/** A resource that matters here. */
export type PolicyResource =
  | { readonly kind: 'endpoint'; readonly value: Endpoint }
  | { readonly kind: 'hostEndpoint'; readonly value: HostEndpoint }
  | { readonly kind: 'policy'; readonly value: Policy }
  | { readonly kind: 'profile'; readonly value: Profile }
  | { readonly kind: 'networkSet'; readonly value: Item }
  | { readonly kind: 'tier'; readonly name: string; readonly value: Tier }
  | { readonly kind: 'pool'; readonly value: IpPool }
  /** The addresses of services, as the cluster's BGPConfiguration lists them. */
  | { readonly kind: 'services'; readonly value: readonly Cidr[] }
  | { readonly kind: 'felix'; readonly name: string; readonly value: FelixSettings }
  | { readonly kind: 'node'; readonly value: NodeAddresses };

export interface NodeAddresses {
  /** Its IPv4 address: IP-in-IP runs over IPv4. */
  readonly address: Ip | undefined;
  readonly ipv6: Ip | undefined;
  /** Those that its VXLAN devices send from. */
  readonly vxlan: readonly Ip[];
}

/** Reads a stored value; undefined when it does not concern policy, or cannot be read at all. */
export function parsePolicyResource(path: string, text: string): PolicyResource | undefined {
  const key = parseKey(path);
  if (key?.kind !== 'resource' && key?.kind !== 'namespaced') return undefined;
  switch (key.plural) {
    case 'workloadendpoints':
      return of(
        parseResource<string, WorkloadEndpointSpec>('WorkloadEndpoint', text, checkEndpointSpec),
        (r) => ({
          kind: 'endpoint',
          value: endpointOf(r),
        }),
      );
    case 'hostendpoints': {
      const kind = 'HostEndpoint';
      const parsed = parseResource<string, HostEndpointSpec>(kind, text, checkHostEndpointSpec);
      const value = parsed.ok ? hostEndpointOf(parsed.value) : undefined;
      return value && { kind: 'hostEndpoint', value };
    }
    case 'networkpolicies':
      return { kind: 'policy', value: policyOf('NetworkPolicy', key, text) };
    case 'globalnetworkpolicies':
      return { kind: 'policy', value: policyOf('GlobalNetworkPolicy', key, text) };
    case 'stagednetworkpolicies':
    case 'stagedglobalnetworkpolicies':
    case 'stagedkubernetesnetworkpolicies': {
      const value = stagedPolicyOf(key, path, text);
      return value && { kind: 'policy', value };
    }
    case 'profiles':
      return of(parseResource<string, ProfileSpec>('Profile', text, checkProfileSpec), (r) => ({
        kind: 'profile',
        value: profileOf(key.name, r.spec),
      }));
    case 'tiers':
      return of(parseResource<string, TierSpec>('Tier', text, checkTierSpec), ({ spec }) => ({
        kind: 'tier',
        name: key.name,
        value: {
          order: spec.order ?? Number.POSITIVE_INFINITY,
          defaultAction: spec.defaultAction === 'Pass' ? 'Pass' : 'Deny',
        },
      }));
    default:
      return parseAddresses(key, text);
  }
}

function parseAddresses(
  key: Extract<Key, { kind: 'resource' | 'namespaced' }>,
  text: string,
): PolicyResource | undefined {
  switch (key.plural) {
    case 'ippools':
      return of(parseResource<'IPPool', IpPoolSpec>('IPPool', text, checkIpPoolSpec), (value) => ({
        kind: 'pool',
        value,
      }));
    case 'nodes':
      return of(parseResource<string, NodeSpec>('Node', text, checkNodeSpec), ({ spec }) => ({
        kind: 'node',
        value: addressesOf(spec),
      }));
    case 'bgpconfigurations':
      return key.name === 'default'
        ? of(parseResource<string, ServiceNetworks>('BGPConfiguration', text), ({ spec }) => ({
            kind: 'services',
            value: serviceNetworks(spec),
          }))
        : undefined;
    case 'kubernetesendpointslices': {
      const parsed = parseResource<string, ServiceEndpointsSpec>(
        SERVICE_ENDPOINTS,
        text,
        checkServiceEndpointsSpec,
      );
      const { namespace } = key as Extract<Key, { kind: 'namespaced' }>;
      return of(parsed, ({ spec }) => ({
        kind: 'networkSet',
        value: serviceItem(spec, namespace),
      }));
    }
    case 'felixconfigurations': {
      const { name } = key;
      const parsed = parseResource<string, FelixConfigurationSpec>(
        'FelixConfiguration',
        text,
        checkFelixConfigurationSpec,
      );
      return of(parsed, ({ spec }) => ({ kind: 'felix', name, value: felixSettingsOf(spec) }));
    }
    case 'networksets':
    case 'globalnetworksets': {
      const global = key.plural === 'globalnetworksets';
      const kind = global ? 'GlobalNetworkSet' : 'NetworkSet';
      const namespace = key.kind === 'namespaced' ? key.namespace : undefined;
      return of(parseResource<string, NetworkSetSpec>(kind, text, checkNetworkSetSpec), (r) => ({
        kind: 'networkSet',
        value: networkSetOf(r, namespace),
      }));
    }
    default:
      return undefined;
  }
}

// A node whom no pool selects tells of a hardware address alone: it sends, and is sent nothing.
function addressesOf(spec: NodeSpec): NodeAddresses {
  const address = nodeAddress(spec, 4)?.ip;
  const six = nodeAddress(spec, 6)?.ip;
  const four = spec.ipv4VXLANTunnelAddr || spec.vxlanTunnelMACAddr;
  const overSix = spec.ipv6VXLANTunnelAddr || spec.vxlanTunnelMACAddrV6;
  return {
    address,
    ipv6: six,
    vxlan: [four && address, overSix && six].filter((ip) => !!ip) as Ip[],
  };
}

const of = <T>(
  parsed: Result<T>,
  make: (value: T) => PolicyResource,
): PolicyResource | undefined => (parsed.ok ? make(parsed.value) : undefined);

/** What a FelixConfiguration says, or the environment in its words. */
export function felixSettingsOf(spec: FelixConfigurationSpec): FelixSettings {
  const said = <T, R>(value: T | null | undefined, read: (value: T) => R): R | undefined =>
    value === null || value === undefined ? undefined : read(value);
  return {
    spoofing: said(spec.workloadSourceSpoofing, (allowed) => allowed === 'Any'),
    floating: said(spec.floatingIPs, (allowed) => allowed === 'Enabled'),
    forwarding: said(spec.ipForwarding, (word) => word.toLowerCase() !== 'disabled'),
    failsafeInbound: said(spec.failsafeInboundHostPorts, failsafesOf),
    failsafeOutbound: said(spec.failsafeOutboundHostPorts, failsafesOf),
    logPrefix: spec.logPrefix || undefined,
    // iptables would refuse another, and the whole table with it.
    logRate: said(spec.logActionRateLimit, (rate) => (isRate(rate) ? rate : undefined)),
    logBurst: said(spec.logActionRateLimitBurst, (burst) =>
      Number.isInteger(burst) && burst >= 1 && burst <= 10_000 ? burst : undefined,
    ),
    vxlanPort: said(spec.vxlanPort, (port) =>
      Number.isInteger(port) && port >= 1 && port <= 65535 ? port : undefined,
    ),
    rules: ruleSettingsOf(spec),
  };
}

const profileOf = (name: string, spec: ProfileSpec): Profile => ({
  name,
  ingress: parseRules(spec.ingress, undefined).rules,
  egress: parseRules(spec.egress, undefined).rules,
  labels: spec.labelsToApply ?? {},
});
