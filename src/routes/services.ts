// Which addresses of Kubernetes' services a node announces, as Calico does: the configured ranges as
// they are, and single addresses where a range would be wrong. A pure function.
import type { EndpointSlice, Service } from '../kubernetes/api.ts';
import { type Cidr, cidrFamily, containsCidr, hostCidr, prefixLengthOf } from '../net/cidr.ts';
import { bitsOf, type Family, familyOf, type Ip, parseIp } from '../net/ip.ts';

/** A node with this label announces no service. */
export const EXCLUDE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';
const SERVICE_LABEL = 'kubernetes.io/service-name';

/** The ranges of BGPConfiguration. */
export interface ServiceRanges {
  readonly clusterIps: readonly Cidr[];
  readonly externalIps: readonly Cidr[];
  readonly loadBalancerIps: readonly Cidr[];
  /** False: load balancers' addresses are announced one by one. */
  readonly loadBalancerAggregation: boolean;
}

export interface ServiceFacts {
  readonly ranges: ServiceRanges;
  readonly services: Iterable<Service>;
  /** Whether the service has a ready endpoint of the family on this node. */
  readonly hasLocal: (service: string, family: Family) => boolean;
}

/** `namespace/name`. */
export const serviceKey = ({ metadata }: Service): string =>
  `${metadata.namespace ?? 'default'}/${metadata.name}`;

/** Key of the slice's service; undefined: of none. */
export function serviceOfSlice({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.[SERVICE_LABEL];
  return name && `${metadata.namespace ?? 'default'}/${name}`;
}

/** The family of the slice when it has a ready endpoint on the node. */
export function localFamilyOf(slice: EndpointSlice, node: string): Family | undefined {
  const family = ({ IPv4: 4, IPv6: 6 } as const)[slice.addressType];
  const here = slice.endpoints?.some(
    ({ nodeName, conditions }) => nodeName === node && (conditions?.ready ?? true),
  );
  return here ? family : undefined;
}

/** Whether anything is to be announced at all. */
export const wantsServices = (ranges: ServiceRanges): boolean =>
  ranges.clusterIps.length + ranges.externalIps.length + ranges.loadBalancerIps.length > 0;

/**
 * The ranges, but for single addresses, which are announced only while a service has them; of
 * services with externalTrafficPolicy Local every address, where they have a ready endpoint.
 */
export function serviceRoutes({ ranges, services, hasLocal }: ServiceFacts): readonly Cidr[] {
  const { clusterIps, externalIps, loadBalancerIps, loadBalancerAggregation } = ranges;
  const routes = new Set<Cidr>([
    ...clusterIps,
    ...externalIps.filter((range) => !isSingle(range)),
    ...(loadBalancerAggregation ? loadBalancerIps.filter((range) => !isSingle(range)) : []),
  ]);
  for (const service of services) {
    if (!hasClusterIp(service)) continue;
    const key = serviceKey(service);
    const local = service.spec.externalTrafficPolicy === 'Local';
    for (const { ip, range, alone } of addressesOf(service, ranges)) {
      const announced = local ? hasLocal(key, familyOf(ip)) : alone || isSingle(range);
      if (announced) routes.add(hostCidr(ip));
    }
  }
  return [...routes];
}

interface ServiceAddress {
  readonly ip: Ip;
  /** The configured range that allows it. */
  readonly range: Cidr;
  /** Every node announces it by itself: its range is not announced. */
  readonly alone: boolean;
}

function addressesOf({ spec, status }: Service, ranges: ServiceRanges): readonly ServiceAddress[] {
  const allowed = (
    texts: readonly (string | undefined)[],
    list: readonly Cidr[],
    alone: boolean,
  ): readonly ServiceAddress[] =>
    texts.flatMap((text) => {
      const ip = parseIp(text ?? '');
      const range = ip && list.find((one) => containsCidr(one, hostCidr(ip)));
      return ip && range ? [{ ip, range, alone }] : [];
    });
  const ingress = status?.loadBalancer?.ingress ?? [];
  return [
    // A cluster's own range is announced whole even where it is a single address.
    ...allowed(spec.clusterIPs ?? [spec.clusterIP], ranges.clusterIps, false),
    ...allowed(spec.externalIPs ?? [], ranges.externalIps, false),
    ...allowed(
      ingress.map(({ ip }) => ip),
      ranges.loadBalancerIps,
      !ranges.loadBalancerAggregation,
    ),
  ];
}

const hasClusterIp = ({ spec: { type = 'ClusterIP', clusterIP = '' } }: Service): boolean =>
  type !== 'ExternalName' && clusterIP !== '' && clusterIP !== 'None';

const isSingle = (range: Cidr): boolean => prefixLengthOf(range) === bitsOf(cidrFamily(range));
