// Resources as people write them, as they would be stored: Calico's own kinds, Kubernetes'
// NetworkPolicy as the controller converts it, and EndpointSlice.
import { fail, ok, type Result } from '../../base/result.ts';
import type { EndpointSlice, NetworkPolicy } from '../../kubernetes/api.ts';
import { namespacedKey, resourceKey } from '../../model/keys.ts';
import { API_VERSION } from '../../model/resource.ts';
import { sliceKey, storedSlice } from '../kubernetes/convert-endpoint-slice.ts';
import { convertNetworkPolicy, POLICY_PREFIX } from '../kubernetes/convert-network-policy.ts';

export interface StoredText {
  readonly key: string;
  readonly value: string;
}

export interface Manifest {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly spec?: object;
}

const CLUSTER = {
  GlobalNetworkPolicy: 'globalnetworkpolicies',
  GlobalNetworkSet: 'globalnetworksets',
  Tier: 'tiers',
  Profile: 'profiles',
  StagedGlobalNetworkPolicy: 'stagedglobalnetworkpolicies',
} as const;
const NAMESPACED = {
  NetworkPolicy: 'networkpolicies',
  NetworkSet: 'networksets',
  StagedKubernetesNetworkPolicy: 'stagedkubernetesnetworkpolicies',
  StagedNetworkPolicy: 'stagednetworkpolicies',
} as const;

/** Errors: why it cannot be used. */
export function storedOf(manifest: Manifest): Result<StoredText> {
  const { apiVersion = '', kind = '', metadata } = manifest;
  const { name, namespace = 'default' } = metadata ?? {};
  if (!name) return fail('metadata.name is missing');
  if (apiVersion === 'networking.k8s.io/v1' && kind === 'NetworkPolicy') {
    const { spec, problems } = convertNetworkPolicy(withPolicyTypes(manifest) as NetworkPolicy);
    if (problems[0]) return fail(problems[0]);
    const key = namespacedKey('networkpolicies', namespace, POLICY_PREFIX + name);
    const own = { name: POLICY_PREFIX + name, namespace };
    const value = { kind, apiVersion: API_VERSION, metadata: own, spec };
    return ok({ key, value: JSON.stringify(value) });
  }
  if (apiVersion === 'discovery.k8s.io/v1' && kind === 'EndpointSlice') {
    const slice = manifest as unknown as EndpointSlice;
    const value = storedSlice(slice);
    if (!value) return fail('it belongs to no service');
    return ok({ key: sliceKey(slice), value: JSON.stringify(value) });
  }
  const value = JSON.stringify(withDefaults(manifest));
  if (apiVersion === API_VERSION && Object.hasOwn(CLUSTER, kind))
    return ok({ key: resourceKey(CLUSTER[kind as keyof typeof CLUSTER], name), value });
  if (apiVersion === API_VERSION && Object.hasOwn(NAMESPACED, kind)) {
    const plural = NAMESPACED[kind as keyof typeof NAMESPACED];
    return ok({ key: namespacedKey(plural, namespace, name), value });
  }
  const known = [...Object.keys(NAMESPACED), ...Object.keys(CLUSTER)].join(', ');
  return fail(
    `${apiVersion} ${kind}: use one of ${known}, or Kubernetes' NetworkPolicy and EndpointSlice`,
  );
}

interface PolicySpec {
  readonly stagedAction?: unknown;
  readonly types?: readonly unknown[] | null;
  readonly policyTypes?: readonly unknown[] | null;
  readonly ingress?: readonly unknown[] | null;
  readonly egress?: readonly unknown[] | null;
}

const POLICIES = /^(?:Staged)?(?:Global)?NetworkPolicy$/;

// What calicoctl and the API server add before they store a policy that does not say its directions.
function withDefaults(manifest: Manifest): Manifest {
  const { kind = '', spec } = manifest;
  if (kind === 'StagedKubernetesNetworkPolicy') return withPolicyTypes(manifest);
  const { stagedAction, types, ingress, egress } = (spec ?? {}) as PolicySpec;
  if (!POLICIES.test(kind) || types?.length || stagedAction === 'Delete') return manifest;
  const both = ingress?.length && egress?.length ? ['Ingress', 'Egress'] : undefined;
  return { ...manifest, spec: { ...spec, types: both ?? [egress?.length ? 'Egress' : 'Ingress'] } };
}

function withPolicyTypes(manifest: Manifest): Manifest {
  const { spec } = manifest;
  const { policyTypes, egress } = (spec ?? {}) as PolicySpec;
  if (policyTypes?.length) return manifest;
  const types = egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
  return { ...manifest, spec: { ...spec, policyTypes: types } };
}
