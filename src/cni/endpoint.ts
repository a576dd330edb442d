// The WorkloadEndpoint that ADD writes: the pod's labels, profiles and ports, or, outside
// Kubernetes, one profile named after the network.
import type { Pod } from '../kubernetes/api.ts';
import { namespacedKey } from '../model/keys.ts';
import { API_VERSION } from '../model/resource.ts';
import {
  type WorkloadEndpoint,
  type WorkloadEndpointPort,
  workloadEndpointName,
} from '../model/workload-endpoint.ts';
import { hostCidr } from '../net/cidr.ts';
import { containerInterfaceName, podInterfaceName } from '../net/ifname.ts';
import type { Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { CniRequest } from './request.ts';

/** Name, key and host interface of a request's endpoint: known before any address is. */
export interface EndpointIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
  readonly hostInterface: string;
}

export function endpointIdentity(node: string, request: CniRequest): EndpointIdentity {
  const namespace = request.pod?.namespace ?? 'default';
  const name = workloadEndpointName({
    node,
    orchestrator: request.pod ? 'k8s' : 'cni',
    workload: request.pod?.name ?? request.containerId,
    endpoint: request.ifname,
  });
  return {
    namespace,
    name,
    key: namespacedKey('workloadendpoints', namespace, name),
    hostInterface: request.pod
      ? podInterfaceName(request.pod.namespace, request.pod.name)
      : containerInterfaceName(request.containerId),
  };
}

export interface EndpointFacts {
  readonly node: string;
  readonly request: CniRequest;
  readonly identity: EndpointIdentity;
  /** The pod, when the configuration asks for Kubernetes policy. */
  readonly pod: Pod | undefined;
  readonly mac: Mac;
  readonly ips: readonly Ip[];
  readonly uid: string;
  /** RFC 3339, seconds, UTC. */
  readonly creationTimestamp: string;
}

export function buildEndpoint(facts: EndpointFacts): WorkloadEndpoint {
  const { request, identity, pod } = facts;
  const serviceAccount = pod?.spec.serviceAccountName ?? (request.pod ? 'default' : undefined);
  return {
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: {
      name: identity.name,
      namespace: identity.namespace,
      uid: facts.uid,
      creationTimestamp: facts.creationTimestamp,
      labels: {
        ...pod?.metadata.labels,
        'projectcalico.org/namespace': identity.namespace,
        'projectcalico.org/orchestrator': request.pod ? 'k8s' : 'cni',
        ...(serviceAccount ? { 'projectcalico.org/serviceaccount': serviceAccount } : {}),
      },
    },
    spec: {
      orchestrator: request.pod ? 'k8s' : 'cni',
      node: facts.node,
      containerID: request.containerId,
      ...(request.pod ? { pod: request.pod.name } : {}),
      endpoint: request.ifname,
      ...(serviceAccount ? { serviceAccountName: serviceAccount } : {}),
      ipNetworks: facts.ips.map(hostCidr),
      profiles: profilesOf(request, identity.namespace, serviceAccount),
      interfaceName: identity.hostInterface,
      mac: facts.mac,
      ...(pod ? { ports: portsOf(pod) } : {}),
    },
  };
}

const profilesOf = (
  request: CniRequest,
  namespace: string,
  serviceAccount: string | undefined,
): readonly string[] =>
  request.pod && request.config.kubernetesPolicy
    ? [`kns.${namespace}`, `ksa.${namespace}.${serviceAccount ?? 'default'}`]
    : [request.config.name];

/** Ports with a name or a host port: the others select nothing. */
export const portsOf = (pod: Pod): readonly WorkloadEndpointPort[] =>
  pod.spec.containers.flatMap((container) =>
    (container.ports ?? [])
      .filter((port) => port.name || port.hostPort)
      .map((port) => ({
        name: port.name ?? '',
        protocol: port.protocol ?? 'TCP',
        port: port.containerPort,
        hostPort: port.hostPort ?? 0,
        hostIP: port.hostIP ?? '',
      })),
  );
