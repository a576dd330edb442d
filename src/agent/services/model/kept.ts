// Objects as they are kept: the fields that are read, as text. Ten thousand Services and their slices
// take a fifth of the memory so, and one that comes again as it was is known by its text.
import type { WholeObject } from '../../../kubernetes/api.ts';
import type { EndpointSliceObject, ServiceObject } from '../../../services/render/objects.ts';
import { HEADLESS, OTHERS } from '../../../services/render/read.ts';

/** Labels that mean something here. */
export const SERVICE_NAME = 'kubernetes.io/service-name';

const METADATA = ['metadata', 'name', 'namespace', 'labels', OTHERS, HEADLESS];
const PORTS = ['ports', 'name', 'protocol', 'port'];
const SERVICE_FIELDS = [
  ...METADATA,
  ...['spec', 'type', 'clusterIP', 'clusterIPs', 'externalIPs', ...PORTS, 'nodePort'],
  ...['externalTrafficPolicy', 'internalTrafficPolicy', 'healthCheckNodePort'],
  ...['loadBalancerSourceRanges', 'sessionAffinity', 'sessionAffinityConfig'],
  ...['clientIP', 'timeoutSeconds'],
  ...['status', 'loadBalancer', 'ingress', 'ip', 'ipMode'],
];
const SLICE_FIELDS = [
  ...METADATA,
  SERVICE_NAME,
  ...['addressType', 'endpoints', 'addresses', 'nodeName', ...PORTS],
  ...['conditions', 'ready', 'serving', 'terminating'],
  ...['hints', 'forZones', 'forNodes'],
];

export const serviceText = (service: WholeObject): string => textOf(service, SERVICE_FIELDS);

export const sliceText = (slice: WholeObject): string => textOf(slice, SLICE_FIELDS);

/** A list without members may come as null: the slice of a Service without endpoints does. */
function textOf(object: WholeObject, fields: string[]): string {
  const text = JSON.stringify(object, fields);
  return text.includes(':null') ? JSON.stringify(JSON.parse(text, withoutNull)) : text;
}

const withoutNull = (_key: string, value: unknown): unknown => value ?? undefined;

export const serviceOf = (text: string): ServiceObject => JSON.parse(text) as ServiceObject;

export const sliceOf = (text: string): EndpointSliceObject =>
  JSON.parse(text) as EndpointSliceObject;
