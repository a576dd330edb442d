// `helm test`: a pod that runs calico-kit's connectivity test, with the rights that this needs and
// only while it runs. With plain manifests these objects are a folder of their own.
import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { dropAll, metadataOf, NAMESPACE, type PodSpec, placed } from './manifest.ts';
import type { Settings } from './settings.ts';

const NAME = 'calico-connectivity-test';
const NOBODY = 65534;

export class CalicoTest extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id, { disableResourceNameHashes: true });
    const group = 'rbac.authorization.k8s.io';
    const subjects = [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }];
    new ApiObject(this, 'account', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: hookOf(0),
    });
    // The namespace that it makes has a name of its own each time.
    const { namespace: _cluster, ...clusterWide } = hookOf(0);
    new ApiObject(this, 'role', {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRole',
      metadata: clusterWide,
      rules: RULES,
    });
    new ApiObject(this, 'binding', {
      apiVersion: `${group}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: clusterWide,
      roleRef: { apiGroup: group, kind: 'ClusterRole', name: NAME },
      subjects,
    });
    new ApiObject(this, 'pod', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: hookOf(1),
      spec: podSpec(settings),
    });
  }
}

const RULES = [
  { apiGroups: [''], resources: ['namespaces', 'services'], verbs: ['create', 'delete', 'get'] },
  { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
  { apiGroups: [''], resources: ['pods/proxy'], verbs: ['get'] },
  { apiGroups: ['apps'], resources: ['daemonsets', 'deployments'], verbs: ['create', 'get'] },
  {
    apiGroups: ['networking.k8s.io'],
    resources: ['networkpolicies'],
    verbs: ['create', 'delete'],
  },
];

// Its log stays to be read (`helm test --logs`) until the next test.
const hookOf = (weight: number) => ({
  ...metadataOf(NAME),
  annotations: {
    'helm.sh/hook': 'test',
    'helm.sh/hook-weight': String(weight),
    'helm.sh/hook-delete-policy': 'before-hook-creation',
  },
});

const podSpec = (settings: Settings): PodSpec => {
  const { images, pod } = settings;
  const { hostNetwork: _own, ...place } = placed(pod.kube_controllers, images);
  return {
    ...place,
    // A pod of the network that it tests.
    hostNetwork: false,
    containers: [
      {
        name: 'test',
        image: images.kube_controllers,
        imagePullPolicy: images.pull_policy,
        command: [
          ...['/usr/local/bin/node', '/opt/calico/cli.mjs', 'connectivity', 'test', '--image'],
          images.kube_controllers,
        ],
        securityContext: {
          ...dropAll(),
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          runAsUser: NOBODY,
        },
      },
    ],
    restartPolicy: 'Never',
    serviceAccountName: NAME,
    terminationGracePeriodSeconds: 0,
  };
};
