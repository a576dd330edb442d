// The WorkloadEndpoint that ADD writes: the pod's labels, profiles and ports, or, outside
// Kubernetes, one profile named after the network.
import type { Pod } from '../kubernetes/api.ts';
import { namespacedKey } from '../model/keys.ts';
import { API_VERSION } from '../model/resource.ts';
import {
  type QosControls,
  type WorkloadEndpoint,
  type WorkloadEndpointPort,
  type WorkloadEndpointSpec,
  workloadEndpointName,
} from '../model/workload-endpoint.ts';
import { type Cidr, hostCidr } from '../net/cidr.ts';
import { containerInterfaceName, furtherInterfaceName, podInterfaceName } from '../net/ifname.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { NETWORK_ANNOTATION } from './attachments.ts';
import { type CniRequest, FIRST_INTERFACE } from './request.ts';

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
    hostInterface: hostInterfaceOf(request),
  };
}

// The first interface bears Calico's name.
function hostInterfaceOf({ pod, containerId, ifname }: CniRequest): string {
  if (ifname !== FIRST_INTERFACE)
    return furtherInterfaceName(pod ? `${pod.namespace}.${pod.name}` : containerId, ifname);
  return pod ? podInterfaceName(pod.namespace, pod.name) : containerInterfaceName(containerId);
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
  /** What is stored under the name: fields that we do not know stay. */
  readonly stored?: WorkloadEndpoint | undefined;
  readonly floatingIps?: readonly Ip[];
  readonly sourcePrefixes?: readonly Cidr[];
  readonly qos?: QosControls | undefined;
  /** No handle of the container tells the network (addresses outside IPAM, or kept ones). */
  readonly namesNetwork?: boolean;
}

export function buildEndpoint(facts: EndpointFacts): WorkloadEndpoint {
  const { request, identity, pod, stored } = facts;
  const serviceAccount = pod?.spec.serviceAccountName ?? (request.pod ? 'default' : undefined);
  return {
    ...stored,
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: metadataOf(facts, serviceAccount),
    spec: {
      ...stored?.spec,
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
      ...wishesIn(facts),
    },
  };
}

function metadataOf(facts: EndpointFacts, serviceAccount: string | undefined) {
  const { request, identity, pod, stored } = facts;
  const { [NETWORK_ANNOTATION]: _former, ...others } = stored?.metadata.annotations ?? {};
  const annotations = facts.namesNetwork
    ? { ...others, [NETWORK_ANNOTATION]: request.config.name }
    : others;
  const { annotations: _annotations, ...metadata } = stored?.metadata ?? {};
  return {
    ...metadata,
    name: identity.name,
    namespace: identity.namespace,
    uid: facts.uid,
    creationTimestamp: stored?.metadata.creationTimestamp ?? facts.creationTimestamp,
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    labels: {
      ...pod?.metadata.labels,
      'projectcalico.org/namespace': identity.namespace,
      'projectcalico.org/orchestrator': request.pod ? 'k8s' : 'cni',
      ...(serviceAccount ? { 'projectcalico.org/serviceaccount': serviceAccount } : {}),
    },
  };
}

// What the pod does not wish for any more is taken out.
function wishesIn({ pod, ips, floatingIps = [], sourcePrefixes = [], qos }: EndpointFacts) {
  const nats = floatingIps.flatMap((externalIP) => {
    const internalIP = ips.find((ip) => familyOf(ip) === familyOf(externalIP));
    return internalIP ? [{ internalIP, externalIP }] : [];
  });
  const wishes = {
    ...(pod ? { ports: portsOf(pod), qosControls: qos } : {}),
    ipNATs: nats.length > 0 ? nats : undefined,
    allowSpoofedSourcePrefixes: sourcePrefixes.length > 0 ? sourcePrefixes : undefined,
  };
  // exactOptionalPropertyTypes: a key without a value is left out when the endpoint is printed.
  return wishes as Pick<
    WorkloadEndpointSpec,
    'ports' | 'ipNATs' | 'allowSpoofedSourcePrefixes' | 'qosControls'
  >;
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
