// Certificates of calico-etcd, where the chart makes them (etcd.tls.mode: generate). Nothing random is
// rendered: a Job in the cluster makes the Secrets before anything else is installed or upgraded, and
// makes anew what must be. Helm deletes the Job and its rights afterwards; the Secrets stay.
// With plain manifests these objects are a folder of their own: applied first, deleted once the Job is done.
import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { join } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import {
  dropAll,
  metadataOf,
  NAMESPACE,
  type PodSpec,
  placed,
  podMetadata,
  withMore,
} from './manifest.ts';
import { apiServer, contextOf, imagesOf, isGenerated, type Settings } from './settings.ts';

const NAME = 'calico-etcd-certificates';
const SECONDS_MAX = 180;
const NOBODY = 65534;
const SECRETS = ['calico-etcd-ca', 'calico-etcd-server', 'calico-etcd-client'];

export class CalicoCertificates extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id, { disableResourceNameHashes: true });
    only(this, 'certificates', isGenerated(settings.etcd), (at) => {
      new ApiObject(at, 'account', {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: hookOf(-10),
      });
      only(at, 'rights', settings.rbac.create, addRights);
      addJob(at, settings);
    });
  }
}

// Before all hooks without a weight. What Helm makes for a hook it deletes only if told so.
const hookOf = (weight: number) => ({
  ...metadataOf(NAME),
  annotations: {
    'helm.sh/hook': 'pre-install,pre-upgrade,pre-rollback',
    'helm.sh/hook-weight': String(weight),
    'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
  },
});

function addRights(scope: Construct): void {
  grant(scope, 'Role', [
    // What does not exist yet has no name that a rule could ask for.
    { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
    { apiGroups: [''], resources: ['secrets'], resourceNames: SECRETS, verbs: ['get', 'update'] },
    // Another authority signs once all members have started since they were to trust it.
    { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
  ]);
  // Under the addresses of the control plane members reach one another.
  grant(scope, 'ClusterRole', [{ apiGroups: [''], resources: ['nodes'], verbs: ['list'] }]);
}

function grant(scope: Construct, kind: 'Role' | 'ClusterRole', rules: readonly object[]): void {
  const group = 'rbac.authorization.k8s.io';
  const { namespace, ...everywhere } = hookOf(-9);
  const metadata = kind === 'Role' ? { ...everywhere, namespace } : everywhere;
  new ApiObject(scope, kind, { apiVersion: `${group}/v1`, kind, metadata, rules });
  new ApiObject(scope, `${kind}Binding`, {
    apiVersion: `${group}/v1`,
    kind: `${kind}Binding`,
    metadata,
    roleRef: { apiGroup: group, kind, name: NAME },
    subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
  });
}

function addJob(scope: Construct, settings: Settings): void {
  const { annotations, ...named } = hookOf(-8);
  new ApiObject(scope, 'job', {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      ...named,
      // A change of the authority goes on with the next upgrade, or waits for something.
      annotations: {
        ...annotations,
        'helm.sh/hook-output-log-policy': 'hook-succeeded,hook-failed',
      },
    },
    spec: {
      activeDeadlineSeconds: SECONDS_MAX,
      backoffLimit: 6,
      template: {
        metadata: podMetadata(NAME, settings.pod.kube_controllers, {}),
        spec: podSpec(settings),
      },
    },
  });
}

const podSpec = (settings: Settings): PodSpec => ({
  // On the nodes' network: pods have none yet.
  ...placed(settings.pod.kube_controllers, settings.images, contextOf(settings)),
  containers: [
    {
      name: 'certificates',
      image: imagesOf(settings).kube_controllers,
      imagePullPolicy: settings.images.pull_policy,
      resources: settings.pod.kube_controllers.resources,
      command: [
        ...['/usr/local/bin/node', '/opt/calico/cli.mjs', 'etcd', 'certificates'],
        ...['--namespace', NAMESPACE, '--address', settings.etcd.clusterIP, '--control-plane'],
        join('--rotation=', settings.etcd.tls.rotate),
        join('--authority=', settings.etcd.tls.rotate_authority),
      ],
      env: withMore(apiServer(settings), settings.pod.kube_controllers),
      securityContext: {
        ...dropAll(),
        runAsNonRoot: true,
        runAsUser: NOBODY,
      },
    },
  ],
  restartPolicy: 'Never',
  serviceAccountName: NAME,
  terminationGracePeriodSeconds: 5,
});
