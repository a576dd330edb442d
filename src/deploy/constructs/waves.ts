// The order of Argo CD: it applies wave by wave, and waits until the objects of one are healthy. Helm
// needs none: it sorts by kind, and our pods wait for one another.
import { ApiObject, JsonPatch } from 'cdk8s';
import type { IConstruct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { when } from '../helm/functions.ts';

const ANNOTATION = 'argocd.argoproj.io/sync-wave';

/** By kind and name, else by kind; 0 is where Argo CD puts what has none. */
const WAVES: Readonly<Record<string, number>> = {
  Namespace: -4,
  ServiceAccount: -3,
  ClusterRole: -3,
  ClusterRoleBinding: -3,
  Role: -3,
  RoleBinding: -3,
  ConfigMap: -2,
  Service: -2,
  'DaemonSet calico-etcd': -1,
  'StatefulSet calico-etcd': -1,
  'DaemonSet calico-node': 0,
  'Deployment calico-kube-controllers': 1,
};

/** Gives every object below `scope` its wave, where that is wanted. */
export function inWaves(scope: IConstruct, wanted: Of<boolean>): void {
  for (const object of scope.node.findAll().filter((node) => ApiObject.isApiObject(node))) {
    const { kind, name } = object;
    const wave = String(WAVES[`${kind} ${name}`] ?? WAVES[kind] ?? 0);
    const annotations = object.metadata.toJson()?.['annotations'];
    const path = annotations ? `/metadata/annotations/${ANNOTATION.replace('/', '~1')}` : '';
    const value = when(wanted, path ? wave : { [ANNOTATION]: wave });
    // A mark is a text, which is all that a patch may carry.
    if (value !== undefined)
      object.addJsonPatch(
        JsonPatch.add(path || '/metadata/annotations', JSON.parse(JSON.stringify(value))),
      );
  }
}
