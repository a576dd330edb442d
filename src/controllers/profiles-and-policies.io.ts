// The controllers whose wanted objects follow one to one from Kubernetes objects: namespaces,
// service accounts and network policies.
import type { Kinds, KubernetesApi } from '../kubernetes/api.ts';
import { parseKey } from '../model/keys.ts';
import { POLICY_PREFIX } from '../policy/kubernetes/convert-network-policy.ts';
import { type Controller, controllerOf } from './controller.ts';
import { watchKind } from './kind-watch.io.ts';
import { type ControllerParts, openReconciler } from './reconcile.io.ts';
import {
  calicoPolicy,
  NAMESPACE_PREFIX,
  namespaceProfile,
  SERVICE_ACCOUNT_PREFIX,
  serviceAccountProfile,
  type Wanted,
} from './wanted.ts';

const ownsProfile =
  (prefix: string) =>
  (path: string): boolean => {
    const key = parseKey(path);
    return key?.kind === 'resource' && key.plural === 'profiles' && key.name.startsWith(prefix);
  };

const ownsPolicy = (path: string): boolean => {
  const key = parseKey(path);
  return (
    key?.kind === 'namespaced' &&
    key.plural === 'networkpolicies' &&
    key.name.startsWith(POLICY_PREFIX)
  );
};

function follow<K extends keyof Kinds>(
  parts: ControllerParts & { readonly kubernetes: KubernetesApi },
  kind: K,
  owns: (key: string) => boolean,
  wantedOf: (object: Kinds[K]) => Wanted,
): Controller {
  const reconciler = openReconciler(parts, owns);
  const watch = watchKind(parts, kind, {
    snapshot: (objects) => reconciler.replace(objects.map(wantedOf)),
    put: (object) => reconciler.put(wantedOf(object)),
    gone: (object) => reconciler.remove(wantedOf(object).key),
  });
  return controllerOf(watch, () => reconciler.failing);
}

type Parts = ControllerParts & { readonly kubernetes: KubernetesApi };

export const namespaceController = (parts: Parts): Controller =>
  follow(parts, 'namespaces', ownsProfile(NAMESPACE_PREFIX), namespaceProfile);

export const serviceAccountController = (parts: Parts): Controller =>
  follow(parts, 'serviceaccounts', ownsProfile(SERVICE_ACCOUNT_PREFIX), serviceAccountProfile);

/**
 * A namespace that is deleted loses its policies before its pods. They stay stored until it is
 * gone, and its pods with it: none of them is open in the meantime (CVE-2024-7598).
 */
export function policyController(parts: Parts): Controller {
  const { kubernetes, log } = parts;
  const isLeaving = async (path: string): Promise<boolean> => {
    const key = parseKey(path);
    const name = key?.kind === 'namespaced' ? key.namespace : '';
    const namespace = await kubernetes.getNamespace(name);
    return namespace?.metadata.deletionTimestamp !== undefined;
  };
  const reconciler = openReconciler(parts, ownsPolicy, isLeaving);
  const wantedOf = (policy: Kinds['networkpolicies']): Wanted => {
    const { wanted, problems } = calicoPolicy(policy);
    for (const problem of problems)
      log.error({ policy: wanted.metadata.name, problem }, 'a rule was left out');
    return wanted;
  };
  watchKind(parts, 'namespaces', {
    snapshot: () => reconciler.again(),
    put: () => undefined,
    gone: () => reconciler.again(),
  });
  const watch = watchKind(parts, 'networkpolicies', {
    snapshot: (objects) => reconciler.replace(objects.map(wantedOf)),
    put: (object) => reconciler.put(wantedOf(object)),
    gone: (object) => reconciler.remove(wantedOf(object).key),
  });
  return controllerOf(watch, () => reconciler.failing);
}
