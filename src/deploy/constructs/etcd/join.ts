// What comes before a member of calico-etcd: where it may run, and the init container that makes this
// node's data a member's, with its rights.
import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Of } from '../../helm/expr.ts';
import { and, eq, isEmpty, join, list, not, str, when } from '../../helm/functions.ts';
import { only } from '../../helm/reading.ts';
import {
  type Container,
  dropAll,
  type EnvironmentVariable,
  fromField,
  hostPath,
  metadataOf,
  NAMESPACE,
  placed,
  type Volume,
  type VolumeMount,
  withMore,
} from '../manifest.ts';
import {
  apiServer,
  certificates,
  contextOf,
  etcdEndpoints,
  imagesOf,
  isGenerated,
  type Settings,
} from '../settings.ts';

export const NAME = 'calico-etcd';
export const DATA_DIR = '/var/etcd';
export const SNAPSHOTS_DIR = '/var/etcd-snapshots';

// Either label: kubeadm named the role `master` until 1.24.
const controlPlane = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: ['control-plane', 'master'].map((role) => ({
        matchExpressions: [{ key: `node-role.kubernetes.io/${role}`, operator: 'Exists' }],
      })),
    },
  },
};

/** On nodes that may carry a member: those of the control plane, where the settings say nothing else. */
export const onEtcdNodes = (settings: Settings) => ({
  ...placed(settings.pod.etcd, settings.images, contextOf(settings)),
  affinity: when(isEmpty(settings.pod.etcd.affinity), controlPlane, settings.pod.etcd.affinity),
});

export const memberEnvironment: readonly EnvironmentVariable[] = [
  fromField('CALICO_ETCD_IP', 'status.podIP'),
  fromField('CALICO_ETCD_NODE', 'spec.nodeName'),
];

/** It gets the very command of etcd. */
export function joining(settings: Settings, etcdCommand: readonly Of<string>[]): Container {
  const { etcd, images, pod } = settings;
  const { env, mounts } = certificates(settings, 'server');
  return {
    name: 'join',
    image: imagesOf(settings).kube_controllers,
    imagePullPolicy: images.pull_policy,
    resources: pod.etcd.resources,
    command: [
      ...['/usr/local/bin/node', '/opt/calico/cli.mjs', 'etcd', 'join'],
      ...['--namespace', NAMESPACE],
      ...['--node', '$(CALICO_ETCD_NODE)', '--address', '$(CALICO_ETCD_IP)'],
      ...['--members', str(etcd.members)],
      ...['--health', join('http://127.0.0.1:', etcd.healthPort)],
      ...['--snapshots', SNAPSHOTS_DIR, join('--restore=', etcd.restore)],
      ...list<Of<string>>(when(isGenerated(etcd), '--own-certificate')),
      ...['--', ...etcdCommand],
    ],
    env: withMore(
      list<Of<EnvironmentVariable>>(
        memberEnvironment,
        { name: 'ETCD_ENDPOINTS', value: etcdEndpoints(settings) },
        env,
        apiServer(settings),
      ),
      pod.etcd,
    ),
    securityContext: dropAll(),
    volumeMounts: list<Of<VolumeMount>>(
      { name: 'data', mountPath: DATA_DIR },
      {
        name: 'account',
        mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
        readOnly: true,
      },
      when(isRestored(settings), { name: 'snapshots', mountPath: SNAPSHOTS_DIR, readOnly: true }),
      mounts,
    ),
  };
}

const isRestored = ({ etcd }: Settings): Of<boolean> => not(eq(etcd.restore, ''));

/** For it alone: a token of the account, and the snapshots where one is asked for. */
export const joiningVolumes = (settings: Settings): readonly Of<Volume>[] =>
  list<Of<Volume>>(
    {
      name: 'account',
      projected: {
        sources: [
          { serviceAccountToken: { path: 'token' } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        ],
      },
    },
    snapshotsVolumes(settings, isRestored(settings)),
  );

/** Where snapshots are, if `needed`. */
export const snapshotsVolumes = (
  { etcd: { snapshots } }: Settings,
  needed: Of<boolean>,
): readonly Of<Volume>[] => {
  const onNode = eq(snapshots.claim, '');
  const name = 'snapshots';
  return list<Of<Volume>>(
    when<Volume>(and(needed, onNode), hostPath(name, snapshots.hostPath, 'DirectoryOrCreate')),
    when<Volume>(and(needed, not(onNode)), {
      name,
      persistentVolumeClaim: { claimName: snapshots.claim },
    }),
  );
};

/** The account of the init container: the record of members, and their certificates where they are made. */
export function addAccount(scope: Construct, settings: Settings): void {
  const metadata = metadataOf(NAME);
  new ApiObject(scope, 'account', { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  only(scope, 'rights', settings.rbac.create, (at) => addRights(at, settings));
}

function addRights(scope: Construct, { etcd }: Settings): void {
  const group = 'rbac.authorization.k8s.io';
  const metadata = metadataOf(NAME);
  const secrets = ['calico-etcd-ca', 'calico-etcd-server'];
  new ApiObject(scope, 'role', {
    apiVersion: `${group}/v1`,
    kind: 'Role',
    metadata,
    rules: list<object>(
      { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
      { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
      {
        apiGroups: [''],
        resources: ['configmaps'],
        resourceNames: ['calico-etcd-members'],
        verbs: ['get', 'update'],
      },
      // The address of a node that joins later comes into the certificate of the members.
      when(isGenerated(etcd), {
        apiGroups: [''],
        resources: ['secrets'],
        resourceNames: secrets,
        verbs: ['get', 'update'],
      }),
    ),
  });
  new ApiObject(scope, 'binding', {
    apiVersion: `${group}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: group, kind: 'Role', name: NAME },
    subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
  });
}
