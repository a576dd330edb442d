// Where a Kubernetes Service is served: one EndpointSlice's part of it. Calico knows the kind from
// clusters without etcd; in etcd our controllers store it, for services that policies name.
import type { Resource } from './resource.ts';

export interface ServiceEndpointsSpec {
  /** Its name; its namespace is the resource's own. */
  readonly service: string;
  /** Of one family; ready or not. */
  readonly addresses: readonly string[];
  /** Of the endpoints, not of the Service. */
  readonly ports: readonly { readonly protocol: string; readonly port: number }[];
}

export const SERVICE_ENDPOINTS = 'KubernetesEndpointSlice';
export type ServiceEndpoints = Resource<typeof SERVICE_ENDPOINTS, ServiceEndpointsSpec>;
