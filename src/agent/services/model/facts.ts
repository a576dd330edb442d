// What a service means beside its rules: where UDP is called and who serves it, and its health check.
import type { EndpointSliceObject, ServiceObject } from '../../../services/render/objects.ts';
import type { HealthCheck } from '../health-checks.io.ts';
import { placeOf } from '../stale-flows.ts';

export interface FactsOfService {
  /** `address:port` of each place where UDP is called, with its serving endpoints. */
  readonly udpAddresses: readonly (readonly [string, ReadonlySet<string>])[];
  readonly udpNodePorts: readonly (readonly [number, ReadonlySet<string>])[];
  /** Port and answer. */
  readonly healthCheck: readonly [number, HealthCheck] | undefined;
}

export function factsOf(
  { metadata, spec = {}, status = {} }: ServiceObject,
  slices: readonly EndpointSliceObject[],
  node: string,
): FactsOfService {
  const ips = [
    ...(spec.clusterIPs ?? [spec.clusterIP ?? '']),
    ...(spec.externalIPs ?? []),
    ...(status.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? ''),
  ].filter((ip) => ip !== '' && ip !== 'None');
  const udp = (spec.ports ?? [])
    .filter(({ protocol }) => protocol === 'UDP')
    .map((port) => ({ ...port, ends: servingEnds(slices, port.name ?? '') }));
  const port = spec.externalTrafficPolicy === 'Local' ? (spec.healthCheckNodePort ?? 0) : 0;
  const { namespace = '', name } = metadata;
  return {
    udpAddresses: udp.flatMap(({ port, ends }) =>
      ips.map((ip) => [placeOf(ip, port), ends] as const),
    ),
    udpNodePorts: udp.flatMap(({ nodePort, ends }) =>
      nodePort ? [[nodePort, ends] as const] : [],
    ),
    healthCheck:
      port > 0
        ? [port, { namespace, name, localEndpoints: localEndpoints(slices, node) }]
        : undefined,
  };
}

/** Whether there is anything to remember. */
export const hasFacts = ({ udpAddresses, udpNodePorts, healthCheck }: FactsOfService): boolean =>
  udpAddresses.length + udpNodePorts.length > 0 || healthCheck !== undefined;

// Traffic policies and topology are left aside: a change of them is no reason to end a flow.
function servingEnds(slices: readonly EndpointSliceObject[], name: string): ReadonlySet<string> {
  return new Set(
    slices.flatMap(({ endpoints = [], ports = [] }) =>
      ports
        .filter((port) => (port.name ?? '') === name && port.port !== undefined)
        .flatMap(({ port }) =>
          endpoints
            .filter(({ conditions }) => conditions?.serving ?? conditions?.ready ?? true)
            .flatMap(({ addresses = [] }) => addresses.slice(0, 1))
            .map((ip) => placeOf(ip, port!)),
        ),
    ),
  );
}

const localEndpoints = (slices: readonly EndpointSliceObject[], node: string): number =>
  new Set(
    slices
      .flatMap(({ endpoints = [] }) => endpoints)
      .filter(({ nodeName, conditions }) => nodeName === node && (conditions?.ready ?? true))
      .flatMap(({ addresses = [] }) => addresses.slice(0, 1)),
  ).size;
