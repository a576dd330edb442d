// Resources of a file as if they were stored: `--with policy.yaml`. Calico's own kinds, and Kubernetes'
// NetworkPolicy as the controller would store it.
import { parseAllDocuments } from 'yaml';
import { fail, ok, type Result } from '../../base/result.ts';
import type { EndpointSlice, NetworkPolicy } from '../../kubernetes/api.ts';
import { namespacedKey, resourceKey } from '../../model/keys.ts';
import { API_VERSION } from '../../model/resource.ts';
import { sliceKey, storedSlice } from '../../policy/kubernetes/convert-endpoint-slice.ts';
import {
  convertNetworkPolicy,
  POLICY_PREFIX,
} from '../../policy/kubernetes/convert-network-policy.ts';

export interface StoredText {
  readonly key: string;
  readonly value: string;
}

interface Manifest {
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

/** Errors: the first document that cannot be used, with its place in the file. */
export function parseWhatIf(text: string): Result<readonly StoredText[]> {
  const stored: StoredText[] = [];
  for (const [i, document] of parseAllDocuments(text).entries()) {
    const where = `document ${i + 1}`;
    if (document.errors[0]) return fail(`${where}: ${document.errors[0].message}`);
    const manifest = document.toJS() as Manifest | null;
    if (manifest === null) continue;
    const one = storedOf(manifest);
    if (!one.ok) return fail(`${where}: ${one.error}`);
    stored.push(one.value);
  }
  return ok(stored);
}

function storedOf(manifest: Manifest): Result<StoredText> {
  const { apiVersion = '', kind = '', metadata } = manifest;
  const { name, namespace = 'default' } = metadata ?? {};
  if (!name) return fail('metadata.name is missing');
  if (apiVersion === 'networking.k8s.io/v1' && kind === 'NetworkPolicy') {
    const { spec, problems } = convertNetworkPolicy(manifest as NetworkPolicy);
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
  const value = JSON.stringify(manifest);
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
