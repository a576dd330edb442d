// WorkloadEndpoint: a pod's (or container's) interface, written by CNI ADD.
import type { Resource } from './resource.ts';

export interface WorkloadEndpointPort {
  readonly name?: string;
  readonly protocol: string | number;
  readonly port: number;
  readonly hostPort?: number;
  readonly hostIP?: string;
}

/** Limits of a pod's traffic: bits, bits a second (minburst: bytes), packets a second, connections. */
export type QosControls = {
  readonly [K in `${'ingress' | 'egress'}${
    | 'Bandwidth'
    | 'Burst'
    | 'Peakrate'
    | 'Minburst'
    | 'PacketRate'
    | 'PacketBurst'
    | 'MaxConnections'}`]?: number;
} & { readonly dscp?: number | string };

export interface WorkloadEndpointSpec {
  readonly orchestrator: string;
  readonly workload?: string;
  readonly node: string;
  readonly containerID?: string;
  readonly pod?: string;
  readonly endpoint: string;
  readonly serviceAccountName?: string;
  /** `/32` and `/128` prefixes. */
  readonly ipNetworks?: readonly string[];
  readonly profiles?: readonly string[];
  readonly interfaceName?: string;
  readonly mac?: string;
  readonly ports?: readonly WorkloadEndpointPort[];
  /** Floating addresses that lead to the pod's own. */
  readonly ipNATs?: readonly { readonly internalIP: string; readonly externalIP: string }[];
  /** Source addresses beside its own that the pod may send from. */
  readonly allowSpoofedSourcePrefixes?: readonly string[];
  readonly qosControls?: QosControls;
}

export type WorkloadEndpoint = Resource<'WorkloadEndpoint', WorkloadEndpointSpec>;

/** The parts of a WorkloadEndpoint's name. */
export interface WorkloadEndpointId {
  readonly node: string;
  readonly orchestrator: string;
  /** Pod name for `k8s`, container ID for `cni`. */
  readonly workload: string;
  readonly endpoint: string;
}

const doubled = (part: string): string => part.replaceAll('-', '--');

/** `<node>-<orchestrator>-<workload>-<endpoint>`, every `-` inside a part doubled. */
export const workloadEndpointName = (id: WorkloadEndpointId): string =>
  [id.node, id.orchestrator, id.workload, id.endpoint].map(doubled).join('-');

/** Whether a name, or a key that ends in one, may be that of an endpoint on the node: a look, no reading. */
export const mayBeEndpointOf = (node: string): ((nameOrKey: string) => boolean) => {
  const start = `${doubled(node)}-`;
  return (text) => text.startsWith(start, text.lastIndexOf('/') + 1);
};

/** The parts of a name; undefined when it has not four parts. */
export function parseWorkloadEndpointName(name: string): WorkloadEndpointId | undefined {
  const parts = name
    .replaceAll('--', '\0')
    .split('-')
    .map((part) => part.replaceAll('\0', '-'));
  const [node, orchestrator, workload, endpoint] = parts;
  return parts.length === 4 && node && orchestrator && workload && endpoint
    ? { node, orchestrator, workload, endpoint }
    : undefined;
}
