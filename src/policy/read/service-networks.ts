// Whose addresses are services', by BGPConfiguration.
import type { Cidr } from '../../net/cidr.ts';
import { netsOf } from '../set-members.ts';

type Block = { readonly cidr?: unknown } | null;

export interface ServiceNetworks {
  readonly serviceClusterIPs?: readonly Block[];
  readonly serviceExternalIPs?: readonly Block[];
  readonly serviceLoadBalancerIPs?: readonly Block[];
}

/** All of them, sorted as text; what is no prefix is left out. */
export function serviceNetworks(spec: ServiceNetworks): readonly Cidr[] {
  const { serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs } = spec;
  const blocks = [serviceClusterIPs, serviceExternalIPs, serviceLoadBalancerIPs].flatMap((list) =>
    Array.isArray(list) ? (list as readonly Block[]) : [],
  );
  const texts = blocks.map((block) => block?.cidr).filter((cidr) => typeof cidr === 'string');
  return [...netsOf(texts)].sort();
}
