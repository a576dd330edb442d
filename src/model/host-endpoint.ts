// HostEndpoint: an interface of a host, guarded by policy like a pod's.
import type { Resource } from './resource.ts';
import type { WorkloadEndpointPort } from './workload-endpoint.ts';

export interface HostEndpointSpec {
  readonly node: string;
  /** `*`: every interface that no other HostEndpoint names. Absent: found by `expectedIPs`. */
  readonly interfaceName?: string;
  readonly expectedIPs?: readonly string[];
  readonly profiles?: readonly string[];
  readonly ports?: readonly WorkloadEndpointPort[];
}

export type HostEndpoint = Resource<'HostEndpoint', HostEndpointSpec>;
