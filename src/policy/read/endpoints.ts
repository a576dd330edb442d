// Whatever selectors can find, read from its stored form: workload and host endpoints, network sets.

import { dscpOf } from '../../model/dscp.ts';
import type { HostEndpointSpec } from '../../model/host-endpoint.ts';
import type { NetworkSetSpec } from '../../model/network-set.ts';
import type { Resource } from '../../model/resource.ts';
import { stringLabels } from '../../model/selector/labels.ts';
import type { ServiceEndpointsSpec } from '../../model/service-endpoints.ts';
import type { WorkloadEndpointPort, WorkloadEndpointSpec } from '../../model/workload-endpoint.ts';
import { type Cidr, cidrFamily, hostCidr, networkOf } from '../../net/cidr.ts';
import { familyOf, type Ip, parseIp } from '../../net/ip.ts';
import { exact } from '../members/exact.ts';
import type { Item, ItemPort } from '../members/set-index.ts';
import { netMembers, netsOf, portMember, portProtocol } from '../set-members.ts';
import { NAMESPACE_LABEL } from './entity-selector.ts';

export interface Endpoint extends Item {
  readonly node: string;
  /** Absent when it has no usable interface name. */
  readonly interfaceName: string | undefined;
  /** It has an address of that family: only then are there rules for it in IPv6's tables. */
  readonly hasIpv6: boolean;
  /** Addresses that are not its own from which it asks to send. */
  readonly sources: readonly Cidr[];
  /** Addresses under which it is reached besides (floating IPs), and its own behind each. */
  readonly nats: readonly AddressPair[];
  /** Of its traffic, kept by rules. */
  readonly limits: Limits;
  /** Undefined: its packets keep what they say themselves. */
  readonly dscp: DscpMark | undefined;
}

/** What packets from these addresses shall carry outside of the cluster. */
export interface DscpMark {
  /** The six bits. */
  readonly value: number;
  readonly addresses: readonly Ip[];
}

/** What rules can limit: packets a second with a burst, and TCP connections. */
export interface Limits {
  readonly ingress: Limit;
  readonly egress: Limit;
}

export interface Limit {
  readonly packets?: { readonly rate: number; readonly burst: number } | undefined;
  readonly connections?: number | undefined;
}

export interface AddressPair {
  readonly internal: Ip;
  readonly external: Ip;
}

export interface HostEndpoint extends Item {
  readonly name: string;
  readonly node: string;
  /** `*`: all that no other one has; undefined: the one that has an expected address. */
  readonly interfaceName: string | undefined;
  readonly expectedIps: readonly Ip[];
  readonly dscp: DscpMark | undefined;
}

type NatSpec = Partial<NonNullable<WorkloadEndpointSpec['ipNATs']>[number]>;

const isInterfaceName = (name: string): boolean => /^[A-Za-z0-9_.-]{1,15}$/.test(name);

export function endpointOf({ metadata, spec }: Resource<string, WorkloadEndpointSpec>): Endpoint {
  const nets = netsOf(spec.ipNetworks);
  const name = spec.interfaceName ?? '';
  return {
    node: spec.node,
    interfaceName: isInterfaceName(name) ? name : undefined,
    hasIpv6: nets.some((net) => cidrFamily(net) === 6),
    sources: exact(netsOf(spec.allowSpoofedSourcePrefixes)),
    nats: exact((spec.ipNATs ?? []).flatMap(pairOf)),
    limits: limitsOf(spec),
    dscp: markOf(spec.qosControls?.dscp, nets.map(networkOf)),
    labels: stringLabels(metadata.labels),
    profiles: exact(spec.profiles ?? []),
    members: exact(nets.flatMap(netMembers)),
    ports: exact(portsOf(nets, spec.ports)),
  };
}

export const sameLimits = (a: Limits, b: Limits): boolean =>
  (['ingress', 'egress'] as const).every(
    (direction) =>
      a[direction].packets?.rate === b[direction].packets?.rate &&
      a[direction].packets?.burst === b[direction].packets?.burst &&
      a[direction].connections === b[direction].connections,
  );

/** Annotation of a HostEndpoint; CNI ADD keeps a pod's in its WorkloadEndpoint. */
const DSCP_ANNOTATION = 'qos.projectcalico.org/dscp';

function markOf(text: unknown, addresses: readonly Ip[]): DscpMark | undefined {
  const value = text === undefined ? undefined : dscpOf(text);
  return value === undefined || addresses.length === 0 ? undefined : { value, addresses };
}

export const sameMark = (a: DscpMark | undefined, b: DscpMark | undefined): boolean =>
  a?.value === b?.value && a?.addresses.join() === b?.addresses.join();

/** Bounds of xt_limit and xt_connlimit; what is beyond limits nothing. */
const LIMITS = { packets: 10_000, connections: 0xffff_ffff };
const DEFAULT_BURST = 5;
const UNLIMITED: Limit = {};
/** Those of most endpoints: one object for all. */
const NO_LIMITS: Limits = { ingress: UNLIMITED, egress: UNLIMITED };

function limitsOf(spec: WorkloadEndpointSpec): Limits {
  if (spec.qosControls === undefined) return NO_LIMITS;
  return { ingress: limitOf(spec, 'ingress'), egress: limitOf(spec, 'egress') };
}

function limitOf({ qosControls = {} }: WorkloadEndpointSpec, direction: keyof Limits): Limit {
  const within = (value: unknown, most: number): number | undefined =>
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most
      ? Number(value)
      : undefined;
  const rate = within(qosControls[`${direction}PacketRate`], LIMITS.packets);
  const burst = within(qosControls[`${direction}PacketBurst`], LIMITS.packets) ?? DEFAULT_BURST;
  const connections = within(qosControls[`${direction}MaxConnections`], LIMITS.connections);
  return {
    ...(rate === undefined ? {} : { packets: { rate, burst } }),
    ...(connections === undefined ? {} : { connections }),
  };
}

function pairOf({ internalIP, externalIP }: NatSpec): readonly AddressPair[] {
  const [internal, external] = [parseIp(internalIP ?? ''), parseIp(externalIP ?? '')];
  const isPair = internal && external && familyOf(internal) === familyOf(external);
  return isPair ? [{ internal, external }] : [];
}

/** Undefined: its interface name cannot be one. */
export function hostEndpointOf({
  metadata,
  spec,
}: Resource<string, HostEndpointSpec>): HostEndpoint | undefined {
  const interfaceName = spec.interfaceName || undefined;
  if (interfaceName && interfaceName !== '*' && !isInterfaceName(interfaceName)) return undefined;
  const expectedIps = (spec.expectedIPs ?? []).flatMap((text) => parseIp(text) ?? []);
  return {
    name: metadata.name,
    node: spec.node,
    interfaceName,
    expectedIps,
    dscp: markOf(metadata.annotations?.[DSCP_ANNOTATION]?.trim(), expectedIps),
    labels: stringLabels(metadata.labels),
    profiles: spec.profiles ?? [],
    members: expectedIps,
    ports: portsOf(expectedIps.map(hostCidr), spec.ports),
  };
}

function portsOf(
  nets: readonly Cidr[],
  ports: readonly WorkloadEndpointPort[] | undefined,
): readonly ItemPort[] {
  return (ports ?? []).flatMap((port) => {
    const protocol = portProtocol(port);
    const members = nets.map((net) => portMember(networkOf(net), protocol ?? '', port.port));
    return protocol ? [{ name: port.name ?? '', protocol, members }] : [];
  });
}

export const networkSetOf = (
  { metadata, spec }: Resource<string, NetworkSetSpec>,
  namespace: string | undefined,
): Item => ({
  labels: {
    ...stringLabels(metadata.labels),
    ...(namespace === undefined ? {} : { [NAMESPACE_LABEL]: namespace }),
  },
  profiles: namespace === undefined ? [] : [`kns.${namespace}`],
  members: netsOf(spec.nets).flatMap(netMembers),
  ports: [],
});

export function serviceItem(spec: ServiceEndpointsSpec, namespace: string): Item {
  const ips = (spec.addresses ?? []).flatMap((text) => parseIp(text) ?? []);
  const ports = (spec.ports ?? []).map((port) => ({ ...port, name: '' }));
  return {
    service: `${namespace}/${spec.service}`,
    labels: {},
    profiles: [],
    members: ips,
    ports: portsOf(ips.map(hostCidr), ports),
  };
}
