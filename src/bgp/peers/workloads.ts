// Peering with the pods of the own node (BGPPeer `localWorkloadSelector`): each pod that is selected is a
// peer, over the address of BGPConfiguration `localWorkloadPeeringIPV4` or `IPV6`, which the host
// end of its link carries. A pod is trusted with less than a router: what belongs to the cluster is
// believed from it only where a BGPFilter accepts it.
import type { BgpFilter, BgpFilterRule } from '../../model/bgp-filter.ts';
import { type Labels, matches } from '../../model/selector/match.ts';
import type { Selector } from '../../model/selector/selector.ts';
import { type Cidr, cidr, cidrFamily, cidrOf, prefixLengthOf } from '../../net/cidr.ts';
import { bitsOf, type Family, familyOf, type Ip } from '../../net/ip.ts';
import type { PeerWorkload } from '../peers.ts';
import type { PeeringFacts } from './facts.ts';

/** A pod of the own node. */
export interface BgpWorkload extends PeerWorkload {
  /** Its own, and what its profiles hand down. */
  readonly labels: Labels;
}

/** More than any cluster inside a cluster has blocks; a pod without a bound could fill our memory. */
export const WORKLOAD_PREFIXES_MAX = 10_000;

/** The pods that are selected, each with its first address of each family that has a peering address. */
export const selectedWorkloads = (
  selector: Selector,
  { workloads, cluster }: PeeringFacts,
): readonly { readonly workload: BgpWorkload; readonly address: Ip }[] =>
  workloads
    .filter(({ labels }) => matches(selector, labels))
    .flatMap((workload) =>
      ([4, 6] as const).flatMap((family) => {
        const address = workload.addresses.find((ip) => familyOf(ip) === family);
        return address && cluster.workloadPeering[family] ? { workload, address } : [];
      }),
    );

/** Link-local and loopback addresses, multicast and beyond: nobody's to announce. */
const NOBODYS = ['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3', 'fe80::/10', 'ff00::/8', '::/16'];
/** Shorter prefixes take in what has nothing to do with a pod; the default route is one of them. */
const LENGTH_MIN: Readonly<Record<Family, number>> = { 4: 8, 6: 16 };

/**
 * Comes after a pod's own filters and rejects what the cluster has already: pools, the nodes' networks,
 * the services' ranges; and what is nobody's.
 */
export function workloadGuard({ pools, nodes, cluster }: PeeringFacts): BgpFilter {
  const networks = nodes
    .flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6])
    .flatMap((address) => (address ? cidrOf(address.ip, address.prefixLength) : []));
  const services = [
    ...cluster.serviceClusterIps,
    ...cluster.serviceExternalIps,
    ...cluster.serviceLoadBalancerIps,
  ];
  const all = [...NOBODYS.map(cidr), ...pools.map((pool) => pool.cidr), ...networks, ...services];
  const ranges = [...new Set(all)].toSorted();
  const rules = (family: Family): readonly BgpFilterRule[] => [
    reject(cidr(family === 4 ? '0.0.0.0/0' : '::/0'), 0, LENGTH_MIN[family] - 1),
    ...ranges
      .filter((range) => cidrFamily(range) === family)
      .map((range) => reject(range, prefixLengthOf(range), bitsOf(family))),
  ];
  const guard = { importV4: rules(4), importV6: rules(6), exportV4: [], exportV6: [] };
  return { name: 'what belongs to the cluster', ...guard };
}

const reject = (range: Cidr, lengthMin: number, lengthMax: number): BgpFilterRule => ({
  match: { prefix: { cidr: range, operator: 'in', lengthMin, lengthMax } },
  action: 'reject',
  operations: [],
});
