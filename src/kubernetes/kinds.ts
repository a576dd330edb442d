// Each kind's path, and its objects trimmed to the fields of api.ts: a pod as the API server sends it
// is some ten times as large as what we keep of it, for every pod of the cluster.
import type {
  EndpointSlice,
  Kinds,
  Metadata,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  Secret,
  Service,
  ServiceAccount,
  StatefulSet,
  WholeObject,
} from './api.ts';

export const PATHS: Readonly<Record<keyof Kinds, string>> = {
  pods: '/api/v1/pods',
  namespaces: '/api/v1/namespaces',
  serviceaccounts: '/api/v1/serviceaccounts',
  nodes: '/api/v1/nodes',
  networkpolicies: '/apis/networking.k8s.io/v1/networkpolicies',
  statefulsets: '/apis/apps/v1/statefulsets',
  secrets: '/api/v1/secrets',
  services: '/api/v1/services',
  endpointslices: '/apis/discovery.k8s.io/v1/endpointslices',
  wholeservices: '/api/v1/services',
  wholeendpointslices: '/apis/discovery.k8s.io/v1/endpointslices',
};

/** Where a kind is listed: in all namespaces, or in one. */
export const pathOf = (kind: keyof Kinds, namespace: string | undefined): string =>
  namespace === undefined
    ? PATHS[kind]
    : PATHS[kind].replace(/\/([^/]+)$/, `/namespaces/${namespace}/$1`);

/** What `kubectl apply` remembers is as large as the object. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** The named fields that are there. */
function pick<T extends object, K extends keyof T>(object: T, keys: readonly K[]): Pick<T, K> {
  const entries = keys.flatMap((key) =>
    object[key] === undefined || object[key] === null ? [] : [[key, object[key]]],
  );
  return Object.fromEntries(entries) as Pick<T, K>;
}

function metadataOf(metadata: Metadata): Metadata {
  const kept = pick(metadata, [
    'name',
    'namespace',
    'uid',
    'resourceVersion',
    'labels',
    'deletionTimestamp',
  ]);
  const { [LAST_APPLIED]: _applied, ...annotations } = metadata.annotations ?? {};
  return Object.keys(annotations).length > 0 ? { ...kept, annotations } : kept;
}

const podOf = ({ metadata, spec, status }: Pod): Pod => ({
  metadata: metadataOf(metadata),
  spec: {
    ...pick(spec, ['nodeName', 'hostNetwork', 'serviceAccountName']),
    containers: spec.containers.map((container) => pick(container, ['name', 'ports'])),
  },
  ...(status ? { status: pick(status, ['phase', 'podIP', 'podIPs']) } : {}),
});

const nodeOf = ({ metadata, spec, status }: Node): Node => ({
  metadata: metadataOf(metadata),
  ...(spec ? { spec: nodeSpecOf(spec) } : {}),
  ...(status ? { status: nodeStatusOf(status) } : {}),
});

const nodeSpecOf = (spec: NonNullable<Node['spec']>): NonNullable<Node['spec']> => ({
  ...pick(spec, ['podCIDR', 'podCIDRs', 'unschedulable']),
  ...(spec.taints ? { taints: spec.taints.map((taint) => pick(taint, ['key'])) } : {}),
});

// A condition's heartbeat changes all the time; what it says hardly ever does.
const nodeStatusOf = (status: NonNullable<Node['status']>): NonNullable<Node['status']> => ({
  ...pick(status, ['addresses']),
  ...(status.conditions
    ? { conditions: status.conditions.map((condition) => pick(condition, ['type', 'status'])) }
    : {}),
});

const onlyMetadata = ({ metadata }: Namespace | ServiceAccount): { metadata: Metadata } => ({
  metadata: metadataOf(metadata),
});

const policyOf = ({ metadata, spec }: NetworkPolicy): NetworkPolicy => ({
  metadata: metadataOf(metadata),
  spec,
});

const statefulSetOf = ({ metadata, spec }: StatefulSet): StatefulSet => ({
  metadata: metadataOf(metadata),
  spec: pick(spec, ['replicas', 'ordinals']),
});

const secretOf = ({ metadata, data }: Secret): Secret => ({
  metadata: metadataOf(metadata),
  ...(data ? { data } : {}),
});

const serviceOf = ({ metadata, spec, status }: Service): Service => ({
  metadata: metadataOf(metadata),
  spec: pick(spec, ['type', 'clusterIP', 'clusterIPs', 'externalIPs', 'externalTrafficPolicy']),
  ...(status ? { status: pick(status, ['loadBalancer']) } : {}),
});

const endpointSliceOf = ({
  metadata,
  addressType,
  endpoints,
  ports,
}: EndpointSlice): EndpointSlice => ({
  metadata: metadataOf(metadata),
  addressType,
  endpoints: (endpoints ?? []).map((one) => ({
    ...pick(one, ['addresses', 'nodeName']),
    ...(one.conditions ? { conditions: pick(one.conditions, ['ready']) } : {}),
  })),
  ports: (ports ?? []).map((port) => pick(port, ['protocol', 'port'])),
});

// Who wrote which field (managedFields) is often larger than the rest.
const wholeOf = ({ metadata, ...rest }: WholeObject): WholeObject => ({
  metadata: metadataOf(metadata),
  ...rest,
});

/** An object as the API server sends it -> the fields that we use. */
export const TRIM: { readonly [K in keyof Kinds]: (object: Kinds[K]) => Kinds[K] } = {
  pods: podOf,
  nodes: nodeOf,
  namespaces: onlyMetadata,
  serviceaccounts: onlyMetadata,
  networkpolicies: policyOf,
  statefulsets: statefulSetOf,
  secrets: secretOf,
  services: serviceOf,
  endpointslices: endpointSliceOf,
  wholeservices: wholeOf,
  wholeendpointslices: wholeOf,
};
