// `helm test`: a pod that runs calico-kit's connectivity test in a namespace of its own. Its rights end
// there, but for the list of nodes, of calico-node's pods, and the Secrets that its image is pulled with; pods in it are as restricted as can be.
import { ApiObject, Chart, JsonPatch } from 'cdk8s';
import { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { and, eachOf, list, some, when } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import {
  dropAll,
  labelsOf,
  metadataOf,
  NAMESPACE,
  type PodSpec,
  placed,
  podMetadata,
  withMore,
} from './manifest.ts';
import { contextOf, imagesOf, type Settings } from './settings.ts';

const NAME = 'calico-connectivity-test';
const TEST_NAMESPACE = 'calico-connectivity';
const NOBODY = 65534;

export class ConnectivityRights extends Construct {
  constructor(scope: Construct, id: string, { images }: Settings) {
    super(scope, id);
    new ApiObject(this, 'namespace', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: TEST_NAMESPACE,
        labels: { ...labelsOf(NAME), 'pod-security.kubernetes.io/enforce': 'restricted' },
      },
    });
    new ApiObject(this, 'account', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: metadataOf(NAME),
    });
    const ofSecrets = (...verbs: string[]) =>
      when(some(images.pull_secrets), {
        ...{ apiGroups: [''], resources: ['secrets'], verbs },
        resourceNames: images.pull_secrets,
      });
    const making = when(some(images.pull_secrets), {
      ...{ apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
    });
    const inNamespace = list<Of<object>>(TEST_RULES, ofSecrets('delete', 'get'), making);
    this.grant('Role', TEST_NAMESPACE, inNamespace);
    const podList = { apiGroups: [''], resources: ['pods'], verbs: ['list'] };
    this.grant('Role', NAMESPACE, list<Of<object>>(podList, ofSecrets('get')));
    this.grant('ClusterRole', undefined, [
      { apiGroups: [''], resources: ['nodes'], verbs: ['list'] },
    ]);
  }

  private grant(kind: 'Role' | 'ClusterRole', namespace: string | undefined, rules: object): void {
    const group = 'rbac.authorization.k8s.io';
    const metadata = {
      name: NAME,
      labels: labelsOf(NAME),
      ...(namespace === undefined ? {} : { namespace }),
    };
    const id = `${kind}-${namespace ?? 'cluster'}`;
    new ApiObject(this, id, { apiVersion: `${group}/v1`, kind, metadata, rules });
    new ApiObject(this, `${id}-binding`, {
      apiVersion: `${group}/v1`,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: group, kind, name: NAME },
      subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
    });
  }
}

const HOOK = {
  'helm.sh/hook': 'test',
  // Its log stays to be read until the next test.
  'helm.sh/hook-delete-policy': 'before-hook-creation',
};

/** Without the right to give rights there is no test. */
export const isTested = ({ manifests, rbac }: Settings): Of<boolean> =>
  and(manifests.connectivity_test, rbac.create);

/** The pod alone: with plain manifests it is applied when somebody wants to know. */
export class CalicoTest extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id, { disableResourceNameHashes: true });
    only(this, 'connectivity', isTested(settings), (at) => {
      const pod = new ApiObject(at, 'pod', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: metadataOf(NAME),
        spec: podSpec(settings),
      });
      const { labels, annotations } = podMetadata(NAME, settings.pod.kube_controllers, HOOK);
      // Metadata of an object are a map for cdk8s; here each may be a single mark.
      for (const [field, value] of Object.entries({ labels, annotations }))
        pod.addJsonPatch(JsonPatch.add(`/metadata/${field}`, JSON.parse(JSON.stringify(value))));
    });
  }
}

const TEST_RULES = [
  { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete', 'list'] },
  { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
  { apiGroups: [''], resources: ['services'], verbs: ['create', 'delete', 'get'] },
  {
    apiGroups: ['networking.k8s.io'],
    resources: ['networkpolicies'],
    verbs: ['create', 'delete'],
  },
];

const podSpec = (settings: Settings): PodSpec => {
  const { pod } = settings;
  const { pull_secrets } = settings.images;
  const images = imagesOf(settings);
  const { hostNetwork: _own, ...place } = placed(
    pod.kube_controllers,
    settings.images,
    contextOf(settings),
  );
  return {
    ...place,
    // A pod of the network that it tests.
    hostNetwork: false,
    containers: [
      {
        name: 'test',
        image: images.kube_controllers,
        imagePullPolicy: images.pull_policy,
        resources: pod.kube_controllers.resources,
        command: [
          ...['/usr/local/bin/node', '/opt/calico/cli.mjs', 'connectivity', 'test'],
          ...['--namespace', TEST_NAMESPACE, '--image', images.kube_controllers],
          ...list<Of<string>>(
            when(some(pull_secrets), '--pull-secret'),
            eachOf('secret', pull_secrets),
          ),
        ],
        env: withMore([], pod.kube_controllers),
        securityContext: {
          ...dropAll(),
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
