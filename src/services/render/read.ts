// A Service and its EndpointSlices as the proxy of one family and node sees them.
import { type Cidr, cidrFamily, parseCidr } from '../../net/cidr.ts';
import { type Family, familyOf, type Ip, parseIp } from '../../net/ip.ts';
import type { EndpointSliceObject, ObjectMetadata, ServiceObject } from './objects.ts';

export interface ServicePort {
  /** `namespace/name`, with `:port` where the port has a name. */
  readonly id: string;
  readonly hasPortName: boolean;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly clusterIp: Ip;
  readonly port: number;
  /** 0: none. */
  readonly nodePort: number;
  readonly externalIps: readonly Ip[];
  readonly loadBalancerIps: readonly Ip[];
  readonly sourceRanges: readonly Cidr[];
  readonly externalLocal: boolean;
  readonly internalLocal: boolean;
  /** Of a client's address; undefined: no session affinity. */
  readonly affinitySeconds: number | undefined;
  /** 0: none. */
  readonly healthCheckNodePort: number;
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  readonly ip: Ip;
  /** `address:port`, `[address]:port` for IPv6. */
  readonly place: string;
  readonly ready: boolean;
  /** It serves although it terminates. */
  readonly lastResort: boolean;
  readonly local: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

/** A label: another proxy serves it. */
export const OTHERS = 'service.kubernetes.io/service-proxy-name';
/** A label: nobody serves it. kube-proxy does not even list what has one of the two. */
export const HEADLESS = 'service.kubernetes.io/headless';
const AFFINITY_SECONDS = 10_800;
/** The protocol of a port that names none. */
const TCP = 'TCP';

/** What a service's port and a slice's have in common. */
interface PortName {
  readonly name?: string;
  readonly protocol?: string;
}

/** One value for each port; none for a service that is not ours to serve. */
export function readService(
  family: Family,
  service: ServiceObject,
  slices: readonly EndpointSliceObject[],
  node: string,
): readonly ServicePort[] {
  const { metadata, spec = {}, status = {} } = service;
  if (spec.type === 'ExternalName' || isLeftOut(metadata)) return [];
  const own = (texts: readonly (string | undefined)[]): readonly Ip[] =>
    texts.flatMap((text) => {
      const ip = parseIp(text ?? '');
      return ip && familyOf(ip) === family ? [ip] : [];
    });
  const [clusterIp] = own(spec.clusterIPs ?? [spec.clusterIP]);
  if (!clusterIp) return [];
  const isExternal = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  const externalIps = own(spec.externalIPs ?? []);
  const externalLocal =
    spec.externalTrafficPolicy === 'Local' && (isExternal || externalIps.length > 0);
  const ingress = (status.loadBalancer?.ingress ?? []).filter(
    ({ ipMode }) => (ipMode ?? 'VIP') === 'VIP',
  );
  const affinity =
    spec.sessionAffinity === 'ClientIP'
      ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS)
      : undefined;
  const ranges = (spec.loadBalancerSourceRanges ?? []).flatMap((text) => {
    const range = parseCidr(text.trim());
    return range && cidrFamily(range) === family ? [range] : [];
  });
  const name = `${metadata.namespace ?? ''}/${metadata.name}`;
  return (spec.ports ?? []).map((port) => ({
    id: port.name ? `${name}:${port.name}` : name,
    hasPortName: Boolean(port.name),
    protocol: (port.protocol ?? TCP).toLowerCase() as ServicePort['protocol'],
    clusterIp,
    port: port.port,
    nodePort: port.nodePort ?? 0,
    externalIps,
    loadBalancerIps: own(ingress.map(({ ip }) => ip)),
    sourceRanges: ranges,
    externalLocal,
    internalLocal: spec.internalTrafficPolicy === 'Local',
    affinitySeconds: affinity,
    healthCheckNodePort: externalLocal ? (spec.healthCheckNodePort ?? 0) : 0,
    endpoints: endpointsOf(family, slices, port, node),
  }));
}

const isLeftOut = ({ labels = {} }: ObjectMetadata): boolean =>
  OTHERS in labels || HEADLESS in labels;

/** In order of their places, each once. */
function endpointsOf(
  family: Family,
  slices: readonly EndpointSliceObject[],
  { name = '', protocol = TCP }: PortName,
  node: string,
): readonly Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const { metadata, addressType, endpoints = [], ports = [] } of slices) {
    if (addressType !== `IPv${family}` || isLeftOut(metadata)) continue;
    const port = ports.find(
      (one) => (one.name ?? '') === name && (one.protocol ?? TCP) === protocol,
    )?.port;
    if (port === undefined) continue;
    for (const { addresses = [], nodeName, conditions = {}, hints = {} } of endpoints) {
      const ip = parseIp(addresses[0] ?? '');
      if (!ip) continue;
      const place = family === 6 ? `[${ip}]:${port}` : `${ip}:${port}`;
      const ready = conditions.ready ?? true;
      const serving = conditions.serving ?? ready;
      found.set(place, {
        ip,
        place,
        ready,
        lastResort: serving && (conditions.terminating ?? false),
        local: nodeName === node,
        zones: (hints.forZones ?? []).map((zone) => zone.name),
        nodes: (hints.forNodes ?? []).map((one) => one.name),
      });
    }
  }
  return [...found.values()].sort((a, b) => (a.place < b.place ? -1 : 1));
}
