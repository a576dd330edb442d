// Settings that are lists of objects, as Calico resources: pools, BGP peers, communities and
// policies. What cannot be used is named and left out; the rest is kept.
import { type Json, parseJson, printJson } from '../../base/json.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { BgpConfigurationSpec } from '../../model/bgp-configuration.ts';
import { parseBgpFilter } from '../../model/bgp-filter.ts';
import { parseBgpPeer } from '../../model/bgp-peer.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import type { IpPoolSpec } from '../../model/ip-pool.ts';
import { checkIpReservationSpec } from '../../model/ip-reservation.ts';
import { type ClusterPlural, namespacedKey, resourceKey } from '../../model/keys.ts';
import { API_VERSION, isObject } from '../../model/resource.ts';
import type {
  FamilySetting,
  ObjectSetting,
  PeerSetting,
  PolicySetting,
  PoolSetting,
} from '../../model/settings/lists.ts';
import { type Cidr, containsCidr, parseCidr } from '../../net/cidr.ts';
import { parsePolicyResource } from '../../policy/read/resources.ts';
import type { Wanted } from '../wanted.ts';

/** What the chart wrote; absent sections are null. */
export interface SettingsDocument {
  readonly ipv4: FamilySetting | null;
  readonly ipv6: FamilySetting | null;
  readonly policy: Readonly<Record<string, PolicySetting>> | null;
  readonly pools: readonly PoolSetting[] | null;
  /** Further fields of the configurations `default`. */
  readonly bgpConfiguration?: BgpFields | null;
  readonly felixConfiguration?: FelixConfigurationSpec | null;
}

export const NO_DOCUMENT: SettingsDocument = { ipv4: null, ipv6: null, policy: null, pools: null };

type BgpFields = Partial<BgpConfigurationSpec> & {
  readonly communities?: readonly object[];
  readonly prefixAdvertisements?: readonly object[];
};

/** Marks what came from the settings, so that it can be removed with them. */
export const OWNER = { name: 'calico-kit.io/managed-by', value: 'settings' } as const;

export interface DocumentWanted {
  readonly resources: readonly Wanted[];
  /** Fields of BGPConfiguration `default`; what the settings never named stays. */
  readonly bgp: BgpFields;
  /** The same of FelixConfiguration. */
  readonly felix: FelixConfigurationSpec;
  /** Prefixes of which the nodes tell their peers what they have routes to. */
  readonly additionalCidrs: readonly string[];
  /** What is left out, and why. */
  readonly problems: readonly string[];
}

/** Errors: no JSON object. */
export function parseDocument(text: string): Result<SettingsDocument> {
  try {
    const value = parseJson(text);
    if (!isObject(value)) return fail('settings: not an object');
    return ok({ ...NO_DOCUMENT, ...(value as unknown as Partial<SettingsDocument>) });
  } catch (error) {
    return fail(`settings: ${String(error)}`);
  }
}

/** `podSubnet` is the default pool, which other pools must leave alone. */
export function documentWanted(
  document: SettingsDocument,
  { asNumber, podSubnet }: { readonly asNumber: number; readonly podSubnet: Cidr | undefined },
): DocumentWanted {
  const problems: string[] = [];
  const families = [document.ipv4, document.ipv6].filter((family) => family !== null);
  const resources = [
    ...poolsOf(document.pools ?? [], podSubnet, problems),
    ...families.flatMap((family) => peersOf(family, problems)),
    ...policiesOf(document.policy ?? {}, problems),
  ];
  const { bgpConfiguration, felixConfiguration } = document;
  return {
    resources,
    bgp: beside(bgpConfiguration ?? {}, bgpOf(families, asNumber, problems)),
    felix: felixConfiguration ?? {},
    additionalCidrs: families.flatMap((family) => cidrsOf(family, problems)),
    problems,
  };
}

/** Lists of both are one after the other. */
const beside = (ours: BgpFields, more: BgpFields): BgpFields => {
  const lists = (['communities', 'prefixAdvertisements'] as const).flatMap((field) => {
    const both = [...(ours[field] ?? []), ...(more[field] ?? [])];
    return both.length > 0 ? [[field, both] as const] : [];
  });
  return { ...ours, ...more, ...Object.fromEntries(lists) };
};

function cidrsOf({ additional_cidrs = [] }: FamilySetting, problems: string[]): readonly string[] {
  return additional_cidrs.flatMap((text) => {
    const cidr = parseCidr(text);
    if (!cidr) problems.push(`additional_cidrs: '${text}' is no CIDR`);
    return cidr ? [cidr] : [];
  });
}

const owned = (metadata: Wanted['metadata'], more: Readonly<Record<string, string>> = {}) => ({
  ...metadata,
  annotations: { ...metadata.annotations, ...more, [OWNER.name]: OWNER.value },
});

function poolsOf(
  pools: readonly PoolSetting[],
  podSubnet: Cidr | undefined,
  problems: string[],
): readonly Wanted[] {
  const taken = podSubnet ? [podSubnet] : [];
  return pools.flatMap(({ name, ...spec }): readonly Wanted[] => {
    const cidr = parseCidr(spec.cidr);
    const other = cidr && taken.find((one) => containsCidr(one, cidr) || containsCidr(cidr, one));
    if (!cidr) problems.push(`pool ${name}: '${spec.cidr}' is no CIDR`);
    if (other) problems.push(`pool ${name}: ${spec.cidr} overlaps ${other}`);
    const both = [spec.ipipMode, spec.vxlanMode].every((mode) => (mode ?? 'Never') !== 'Never');
    if (both) problems.push(`pool ${name}: ipipMode and vxlanMode: packets travel in one of them`);
    if (!cidr || other || both) return [];
    taken.push(cidr);
    const full: IpPoolSpec = { ...POOL_DEFAULTS, ...(spec as IpPoolSpec) };
    return [
      { key: resourceKey('ippools', name), kind: 'IPPool', metadata: owned({ name }), spec: full },
    ];
  });
}

const POOL_DEFAULTS = {
  ipipMode: 'Never',
  vxlanMode: 'Never',
  nodeSelector: 'all()',
  allowedUses: ['Workload', 'Tunnel'],
  assignmentMode: 'Automatic',
} as const;

function peersOf({ peers = [], port }: FamilySetting, problems: string[]): readonly Wanted[] {
  return peers.flatMap(({ metadata, spec }: PeerSetting): readonly Wanted[] => {
    const { name } = metadata;
    const full = { ...spec, ...portedPeer(spec.peerIP, port?.neighbor) };
    const parsed = parseBgpPeer(name, { metadata, spec: full as Json });
    if (!parsed.ok) problems.push(parsed.error);
    if (!parsed.ok) return [];
    return [
      {
        key: resourceKey('bgppeers', name),
        kind: 'BGPPeer',
        metadata: owned(metadata),
        spec: full,
      },
    ];
  });
}

// A peer that names no port has the one that all of its family have.
function portedPeer(peerIP: string | undefined, port: number | undefined): object {
  if (!peerIP || !port || /^([\d.]+:\d+|\[.*\]:\d+)$/.test(peerIP)) return {};
  return { peerIP: peerIP.includes(':') ? `[${peerIP}]:${port}` : `${peerIP}:${port}` };
}

function bgpOf(
  families: readonly FamilySetting[],
  asNumber: number,
  problems: string[],
): DocumentWanted['bgp'] {
  const ports = new Set(families.flatMap(({ port }) => port?.listen ?? []));
  if (ports.size > 1) problems.push(`port.listen: ${[...ports].join(' and ')}; there is one port`);
  const named = families.flatMap(({ community_cidr_ref: refs }) => Object.entries(refs ?? {}));
  const usable = named.filter(([name, { prefix }]) => {
    const fits = (prefix ?? asNumber) <= 65_535;
    if (!fits)
      problems.push(
        `community ${name}: the AS number ${asNumber} has four octets; give a prefix of your own, or use ` +
          'a large community in a BGPConfiguration',
      );
    return fits;
  });
  const [listenPort] = ports;
  return {
    ...(listenPort === undefined ? {} : { listenPort }),
    ...(usable.length === 0
      ? {}
      : {
          communities: usable.map(([name, { community, prefix }]) => ({
            name,
            value: `${prefix ?? asNumber}:${community}`,
          })),
          prefixAdvertisements: usable.map(([name, { cidr }]) => ({ cidr, communities: [name] })),
        }),
  };
}

const CLUSTER_PLURALS: Readonly<Record<string, ClusterPlural>> = {
  BGPFilter: 'bgpfilters',
  GlobalNetworkPolicy: 'globalnetworkpolicies',
  GlobalNetworkSet: 'globalnetworksets',
  HostEndpoint: 'hostendpoints',
  IPReservation: 'ipreservations',
  Tier: 'tiers',
};
const NAMESPACED_PLURALS = { NetworkPolicy: 'networkpolicies', NetworkSet: 'networksets' } as const;

function policiesOf(
  groups: Readonly<Record<string, PolicySetting>>,
  problems: string[],
): readonly Wanted[] {
  const ordered = Object.entries(groups).sort(
    ([a, left], [b, right]) => left.priority - right.priority || (a < b ? -1 : 1),
  );
  const keys = new Set<string>();
  return ordered.flatMap(([group, { rules }]) =>
    rules.flatMap((object): readonly Wanted[] => {
      const wanted = objectOf(object);
      const problem = keys.has(wanted.key) ? 'is there twice' : problemOf(wanted);
      keys.add(wanted.key);
      if (!problem) return [wanted];
      problems.push(`policy.${group}: ${object.kind} ${object.metadata.name}: ${problem}`);
      return [];
    }),
  );
}

function objectOf({ kind, metadata, spec = {} }: ObjectSetting): Wanted {
  const { name, namespace } = metadata;
  const isPolicy = kind === 'NetworkPolicy' || kind === 'GlobalNetworkPolicy';
  // Clients keep the name of a policy in this annotation.
  const named = isPolicy
    ? { 'projectcalico.org/metadata': JSON.stringify({ name, namespace }) }
    : {};
  const cluster = CLUSTER_PLURALS[kind];
  if (cluster) {
    const { namespace: _none, ...own } = metadata;
    const key = resourceKey(cluster, name);
    return { key, kind, metadata: owned(own, named), spec: spec as object };
  }
  const plural = NAMESPACED_PLURALS[kind as keyof typeof NAMESPACED_PLURALS];
  const full = { ...metadata, namespace: namespace ?? 'default' };
  const key = namespacedKey(plural, full.namespace, name);
  return { key, kind, metadata: owned(full, named), spec: spec as object };
}

/** Undefined: those who read it will understand it. */
function problemOf({ key, kind, metadata, spec }: Wanted): string | undefined {
  if (kind === 'BGPFilter') {
    const parsed = parseBgpFilter(metadata.name, spec as Json);
    return parsed.ok ? undefined : parsed.error;
  }
  if (kind === 'IPReservation') return checkIpReservationSpec(spec as Json);
  const text = printJson({ kind, apiVersion: API_VERSION, metadata, spec });
  const parsed = parsePolicyResource(key, text);
  if (!parsed) return 'cannot be read';
  return parsed.kind === 'policy' ? parsed.value.problems[0] : undefined;
}
