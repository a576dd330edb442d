// etcd paths <-> what they name (Calico v3's own layout). The one place that spells a key.
import { type Cidr, cidrFamily, networkOf, parseCidr, prefixLengthOf } from '../net/cidr.ts';
import type { Family } from '../net/ip.ts';

export const ROOT = '/calico/';
export const RESOURCES = '/calico/resources/v3/projectcalico.org/';
export const IPAM = '/calico/ipam/v2/';
export const IPAM_CONFIG_KEY = '/calico/ipam/v2/config';

/** Cluster-scoped kinds by plural. */
export const CLUSTER_PLURALS = [
  'bgpconfigurations',
  'bgpfilters',
  'bgppeers',
  'caliconodestatuses',
  'clusterinformations',
  'felixconfigurations',
  'globalnetworkpolicies',
  'globalnetworksets',
  'hostendpoints',
  'ippools',
  'ipreservations',
  'kubecontrollersconfigurations',
  'nodes',
  'profiles',
  'stagedglobalnetworkpolicies',
  'tiers',
] as const;
export const NAMESPACED_PLURALS = [
  'kubernetesendpointslices',
  'networkpolicies',
  'networksets',
  'stagedkubernetesnetworkpolicies',
  'stagednetworkpolicies',
  'workloadendpoints',
] as const;

export type ClusterPlural = (typeof CLUSTER_PLURALS)[number];
export type NamespacedPlural = (typeof NAMESPACED_PLURALS)[number];

/** What a key names. */
export type Key =
  | { readonly kind: 'resource'; readonly plural: ClusterPlural; readonly name: string }
  | {
      readonly kind: 'namespaced';
      readonly plural: NamespacedPlural;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly kind: 'block'; readonly cidr: Cidr }
  | {
      readonly kind: 'affinity';
      readonly owner: 'host' | 'virtual';
      readonly node: string;
      readonly cidr: Cidr;
    }
  | { readonly kind: 'handle'; readonly id: string }
  | { readonly kind: 'ipamConfig' };

const dashed = (c: Cidr): string => `${networkOf(c)}-${prefixLengthOf(c)}`;
const undashed = (text: string): Cidr | undefined => parseCidr(text.replace(/-(\d+)$/, '/$1'));
const ipv = (family: Family): string => `ipv${family}`;

export const resourceKey = (plural: ClusterPlural, name: string): string =>
  `${RESOURCES}${plural}/${name}`;
export const resourcePrefix = (
  plural: ClusterPlural | NamespacedPlural,
  namespace?: string,
): string => `${RESOURCES}${plural}/${namespace === undefined ? '' : `${namespace}/`}`;
export const namespacedKey = (plural: NamespacedPlural, namespace: string, name: string): string =>
  `${RESOURCES}${plural}/${namespace}/${name}`;
export const blockKey = (c: Cidr): string =>
  `${IPAM}assignment/${ipv(cidrFamily(c))}/block/${dashed(c)}`;
export const affinityKey = (node: string, c: Cidr): string =>
  `${IPAM}host/${node}/${ipv(cidrFamily(c))}/block/${dashed(c)}`;
/** Which node owns which block, of all nodes. */
export const BLOCK_OWNERS = `${IPAM}host/`;
export const affinityPrefix = (node: string, family?: Family): string =>
  `${IPAM}host/${node}/${family === undefined ? '' : `${ipv(family)}/block/`}`;
export const handleKey = (id: string): string => `${IPAM}handle/${id}`;
export const HANDLE_PREFIX = `${IPAM}handle/`;

/** The key's meaning; undefined for what we do not know. */
export function parseKey(key: string): Key | undefined {
  if (key.startsWith(RESOURCES)) return parseResourceKey(key.slice(RESOURCES.length));
  if (!key.startsWith(IPAM)) return undefined;
  const rest = key.slice(IPAM.length);
  if (rest === 'config') return { kind: 'ipamConfig' };
  if (rest.startsWith('handle/')) return { kind: 'handle', id: rest.slice('handle/'.length) };
  const block = /^assignment\/ipv[46]\/block\/([^/]+)$/.exec(rest);
  if (block) {
    const cidr = undashed(block[1]!);
    return cidr && { kind: 'block', cidr };
  }
  const affinity = /^(host|virtual)\/([^/]+)\/ipv[46]\/block\/([^/]+)$/.exec(rest);
  const cidr = affinity && undashed(affinity[3]!);
  return cidr
    ? { kind: 'affinity', owner: affinity[1] as 'host' | 'virtual', node: affinity[2]!, cidr }
    : undefined;
}

function parseResourceKey(rest: string): Key | undefined {
  const [plural, a, b, ...more] = rest.split('/');
  if (!plural || !a || more.length > 0) return undefined;
  if (b === undefined) {
    const known = CLUSTER_PLURALS.find((p) => p === plural);
    return known && { kind: 'resource', plural: known, name: a };
  }
  const known = NAMESPACED_PLURALS.find((p) => p === plural);
  return known && { kind: 'namespaced', plural: known, namespace: a, name: b };
}
