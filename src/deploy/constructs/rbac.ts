// What the two programs may do in the Kubernetes API: exactly the verbs they use.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import { NODE } from './calico-node.ts';
import { CONTROLLERS } from './kube-controllers.ts';
import { labelsOf, metadataOf, NAMESPACE } from './manifest.ts';

interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const WATCH = ['list', 'watch'];
const READ = ['get', ...WATCH];

const nodeRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['pods', 'nodes', 'namespaces'], verbs: READ },
  // Services are served, and their addresses announced where their endpoints are.
  { apiGroups: [''], resources: ['services'], verbs: WATCH },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: WATCH },
  // NetworkUnavailable is cleared once routes can be programmed.
  { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
  // An MTU that does not fit is an event of the node.
  { apiGroups: [''], resources: ['events'], verbs: ['create'] },
];

const controllerRules: readonly PolicyRule[] = [
  // Asked once more before anything is given up.
  { apiGroups: [''], resources: ['pods', 'namespaces', 'nodes'], verbs: READ },
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: WATCH },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: WATCH },
  // Rules of policies may name services; what serves them is stored for the agents.
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: WATCH },
  // Stable addresses are kept for the ordinals that a StatefulSet has.
  { apiGroups: ['apps'], resources: ['statefulsets'], verbs: WATCH },
  // And those of KubeVirt's VMs until the VM is gone.
  {
    apiGroups: ['kubevirt.io'],
    resources: ['virtualmachines', 'virtualmachineinstances'],
    verbs: ['get'],
  },
];

/** The one Secret that the speaker may read: passwords of BGP sessions. */
const BGP_SECRETS = 'bgp-secrets';

export class Rbac extends Construct {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.grant(NODE, nodeRules);
    this.grant(CONTROLLERS, controllerRules);
    this.grantSecrets(NODE);
  }

  private grantSecrets(name: string): void {
    const group = 'rbac.authorization.k8s.io';
    const metadata = metadataOf(`${name}-${BGP_SECRETS}`, name);
    new ApiObject(this, `${name}-secrets-role`, {
      apiVersion: `${group}/v1`,
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['secrets'], resourceNames: [BGP_SECRETS], verbs: READ },
      ],
    });
    new ApiObject(this, `${name}-secrets-binding`, {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }],
    });
  }

  private grant(name: string, rules: readonly PolicyRule[]): void {
    const metadata = { name, labels: labelsOf(name) };
    const group = 'rbac.authorization.k8s.io';
    new ApiObject(this, `${name}-role`, {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata,
      rules,
    });
    new ApiObject(this, `${name}-binding`, {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }],
    });
  }
}
