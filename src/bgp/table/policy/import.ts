// Which of the announced paths are of use, and as what (RFC 4271 section 9.1.1; loops: section 9.1.2
// and RFC 4456 section 8). The verdict on a set is remembered beside it.
import type { Asn } from '../../../net/asn.ts';
import { type Family, type Ip, valueOfIp } from '../../../net/ip.ts';
import type { Peer } from '../peer.ts';
import type { AttributeSet, AttributeSets, ImportVerdict } from '../routes/attribute-sets.ts';
import type { Prefixes } from '../routes/prefixes.ts';
import { GRACEFUL_SHUTDOWN } from './communities.ts';
import type { Conditions } from './conditions.ts';
import { applyFilters, importRules } from './filter.ts';

export interface OwnIdentity {
  readonly asn: Asn;
  readonly routerId: Ip;
  /** Own addresses: a path whose next hop is one of them is of no use. */
  readonly addresses: readonly Ip[];
}

/** What import depends on; peers with equal ones share the verdicts. */
export interface ImportPolicy {
  readonly id: number;
  readonly peer: Peer;
  readonly own: OwnIdentity;
  readonly conditions: Conditions;
}

/** Peers of which this text is the same are treated the same. */
export const importKey = ({ external, policy }: Peer): string => {
  const { localAsn, allowLocalAsns, clusterId, explicitPolicy, filters, workload } = policy;
  const pod = workload?.addresses;
  return JSON.stringify([
    ...[external, localAsn, allowLocalAsns, clusterId, explicitPolicy, filters, pod],
  ]);
};

/** The verdict on a set for any prefix; filters, which look at the prefix, come after it. */
export function importSet(
  sets: AttributeSets,
  policy: ImportPolicy,
  set: AttributeSet,
): ImportVerdict {
  const known = set.imported.get(policy.id);
  if (known !== undefined) return known;
  const verdict = uselessness(policy, set) ?? adjusted(sets, set);
  if (typeof verdict !== 'string' && verdict !== set) sets.retain(verdict.id);
  set.imported.set(policy.id, verdict);
  return verdict;
}

/** The verdict on a prefix (RFC 4271 section 6.3), and a peer's filters', where the path is of use. */
export function importPrefix(
  sets: AttributeSets,
  { peer, conditions }: ImportPolicy,
  set: AttributeSet,
  prefixes: Prefixes,
  prefix: number,
): ImportVerdict {
  if (prefixes.isNobodys(prefix)) return 'loopback, link-local or multicast';
  const rules = importRules(peer.policy.filters, prefixes.family);
  if (rules.length === 0) return set;
  const { external } = peer;
  return applyFilters(sets, rules, { set, external, own: false, prefixes, prefix, conditions });
}

export const hasImportFilters = ({ policy }: Peer, family: Family): boolean =>
  importRules(policy.filters, family).length > 0;

// RFC 8326 section 4.1: the session is about to be shut down, any other path is better.
function adjusted(sets: AttributeSets, set: AttributeSet): AttributeSet {
  const { attributes, nextHop } = set;
  if (!attributes.communities?.includes(GRACEFUL_SHUTDOWN) || set.localPref === 0) return set;
  const last = () => ({ attributes: { ...attributes, localPref: 0 }, nextHop });
  return sets.intern(`${set.key}|shutdown`, last);
}

function uselessness({ peer, own }: ImportPolicy, set: AttributeSet): string | undefined {
  const { attributes, nextHop, faults } = set;
  const { localAsn, allowLocalAsns, clusterId, explicitPolicy, filters, workload } = peer.policy;
  if (faults.length > 0) return faults.join('; ');
  if (peer.external && explicitPolicy && filters.length === 0) return 'no policy (RFC 8212)';
  // Inside the AS too (RFC 4271 section 9.1.2): who believes such a path from outside is alone in it.
  const ours = peer.external ? [own.asn, localAsn] : [localAsn];
  if (timesIn(attributes.asPath, ours) > allowLocalAsns) return 'own AS in AS_PATH';
  if (attributes.originatorId === own.routerId) return 'own ORIGINATOR_ID';
  if (clusterId !== undefined && attributes.clusterList?.includes(Number(valueOfIp(clusterId))))
    return 'own CLUSTER_ID in CLUSTER_LIST';
  if (workload && !workload.addresses.includes(nextHop))
    return `next hop ${nextHop} is not the pod`;
  return isUnicastHost(nextHop, own.addresses) ? undefined : `next hop ${nextHop}`;
}

const timesIn = (path: AttributeSet['attributes']['asPath'], asns: readonly Asn[]): number =>
  path.reduce((sum, segment) => sum + segment.asns.filter((a) => asns.includes(a)).length, 0);

// RFC 4271 section 6.3: a next hop is a host's address, and not our own.
function isUnicastHost(nextHop: Ip, own: readonly Ip[]): boolean {
  if (own.includes(nextHop)) return false;
  const value = valueOfIp(nextHop);
  if (nextHop.includes(':')) return value > 1n && value >> 120n !== 0xffn;
  const first = Number(value >> 24n);
  if (first >= 240) return value !== 0xffffffffn;
  return first !== 0 && first !== 127 && first < 224;
}
