// What each controller wants in the datastore, as pure functions of Kubernetes objects and settings.
import type { Json } from '../base/json.ts';
import { portsOf } from '../cni/endpoint.ts';
import type { Namespace, NetworkPolicy, Pod, ServiceAccount } from '../kubernetes/api.ts';
import { namespacedKey, resourceKey } from '../model/keys.ts';
import type { ProfileSpec } from '../model/policy.ts';
import { API_VERSION, type Resource, type ResourceMetadata } from '../model/resource.ts';
import { type WorkloadEndpoint, workloadEndpointName } from '../model/workload-endpoint.ts';
import { parseCidr } from '../net/cidr.ts';
import {
  convertNetworkPolicy,
  POLICY_PREFIX,
} from '../policy/kubernetes/convert-network-policy.ts';

/** A resource that shall be stored under `key` with this spec. */
export interface Wanted {
  readonly key: string;
  readonly kind: string;
  readonly metadata: ResourceMetadata;
  readonly spec: object;
}

export const NAMESPACE_PREFIX = 'kns.';
export const SERVICE_ACCOUNT_PREFIX = 'ksa.';

const prefixed = (
  prefix: string,
  labels: Readonly<Record<string, string>> = {},
): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]));

const profile = (name: string, spec: ProfileSpec): Wanted => ({
  key: resourceKey('profiles', name),
  kind: 'Profile',
  metadata: { name },
  spec,
});

/** `kns.<namespace>`: allows all, and hands the namespace's labels to its pods as `pcns.*`. */
export function namespaceProfile({ metadata }: Namespace): Wanted {
  return profile(`${NAMESPACE_PREFIX}${metadata.name}`, {
    ingress: [{ action: 'Allow', source: {}, destination: {} }],
    egress: [{ action: 'Allow', source: {}, destination: {} }],
    labelsToApply: {
      ...prefixed('pcns.', metadata.labels),
      'pcns.projectcalico.org/name': metadata.name,
    },
  });
}

/** `ksa.<namespace>.<name>`: no rules, only labels `pcsa.*`. */
export function serviceAccountProfile({ metadata }: ServiceAccount): Wanted {
  return profile(`${SERVICE_ACCOUNT_PREFIX}${metadata.namespace}.${metadata.name}`, {
    labelsToApply: {
      ...prefixed('pcsa.', metadata.labels),
      'pcsa.projectcalico.org/name': metadata.name,
    },
  });
}

export interface WantedPolicy {
  readonly wanted: Wanted;
  readonly problems: readonly string[];
}

export function calicoPolicy(policy: NetworkPolicy): WantedPolicy {
  const name = `${POLICY_PREFIX}${policy.metadata.name}`;
  const namespace = policy.metadata.namespace ?? 'default';
  const { spec, problems } = convertNetworkPolicy(policy);
  // Clients keep the name of a policy in this annotation.
  const annotations = { 'projectcalico.org/metadata': JSON.stringify({ name, namespace }) };
  const wanted: Wanted = {
    key: namespacedKey('networkpolicies', namespace, name),
    kind: 'NetworkPolicy',
    metadata: { name, namespace, annotations },
    spec,
  };
  return { wanted, problems };
}

/** Key of a pod's endpoint; undefined for pods that have none of ours. */
export function endpointKeyOf({ metadata, spec }: Pod): string | undefined {
  if (spec.hostNetwork || !spec.nodeName) return undefined;
  const workload = metadata.name;
  const name = workloadEndpointName({
    node: spec.nodeName,
    orchestrator: 'k8s',
    workload,
    endpoint: 'eth0',
  });
  return namespacedKey('workloadendpoints', metadata.namespace ?? 'default', name);
}

/**
 * Whether the endpoint is this pod's and not that of an earlier pod of the same name: their addresses
 * must not differ. Before either has an address, the name decides.
 */
export function isEndpointOf({ spec }: WorkloadEndpoint, { status }: Pod): boolean {
  const ips = status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : []);
  const nets = spec.ipNetworks ?? [];
  return ips.length === 0 || nets.length === 0 || ips.some((ip) => nets.includes(hostOf(ip)));
}

const hostOf = (text: string): string => String(parseCidr(text));

/** The stored endpoint with the pod's present labels and ports; everything else as it is. */
export function refreshedEndpoint(stored: WorkloadEndpoint, pod: Pod): WorkloadEndpoint {
  const own = Object.entries(stored.metadata.labels ?? {}).filter(([key]) =>
    key.startsWith('projectcalico.org/'),
  );
  return {
    ...stored,
    metadata: {
      ...stored.metadata,
      labels: { ...pod.metadata.labels, ...Object.fromEntries(own) },
    },
    spec: { ...stored.spec, ports: portsOf(pod) },
  };
}

/** A new resource, or the stored one with the wanted spec and labels, and the wanted annotations. */
export function merged(
  wanted: Wanted,
  stored: Resource<string, object> | undefined,
  fresh: { readonly uid: string; readonly creationTimestamp: string },
): Resource<string, object> {
  const { uid, creationTimestamp } = stored?.metadata ?? {};
  const annotations = { ...stored?.metadata.annotations, ...wanted.metadata.annotations };
  return {
    ...stored,
    kind: wanted.kind,
    apiVersion: API_VERSION,
    metadata: {
      ...stored?.metadata,
      ...wanted.metadata,
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
      uid: uid ?? fresh.uid,
      creationTimestamp: creationTimestamp ?? fresh.creationTimestamp,
    },
    spec: wanted.spec as Json & object,
  };
}
