// The datastore in the cluster: one etcd member on the control-plane node, and a Service whose
// address is fixed, because nodes need it before any cluster DNS can answer.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { choose, join, list, when } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import {
  type Container,
  dropAll,
  fromField,
  hostPath,
  labelsOf,
  metadataOf,
  type PodSpec,
  placed,
  podMetadata,
  probe,
  withMore,
} from './manifest.ts';
import { certificates, contextOf, imagesOf, type Settings } from './settings.ts';

const NAME = 'calico-etcd';
const DATA_DIR = '/var/etcd';

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

export class CalicoEtcd extends Construct {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    const { manifests } = settings;
    only(this, 'address', manifests.service_calico_etcd, (at) => service(at, settings));
    only(this, 'members', manifests.daemonset_calico_etcd, (at) => daemonSet(at, settings));
  }
}

function service(scope: Construct, { etcd }: Settings): void {
  const { clusterIP, port } = etcd;
  new ApiObject(scope, 'service', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadataOf(NAME),
    spec: {
      clusterIP,
      selector: labelsOf(NAME),
      ports: [{ name: 'client', port, protocol: 'TCP', targetPort: port }],
    },
  });
}

function daemonSet(scope: Construct, settings: Settings): void {
  new ApiObject(scope, 'daemonset', {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: metadataOf(NAME),
    spec: {
      selector: { matchLabels: labelsOf(NAME) },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      template: { metadata: podMetadata(NAME, settings.pod.etcd, {}), spec: podSpec(settings) },
    },
  });
}

const podSpec = (settings: Settings): PodSpec => ({
  ...placed(settings.pod.etcd, settings.images, contextOf(settings)),
  affinity: controlPlane,
  automountServiceAccountToken: false,
  containers: [etcdContainer(settings)],
  terminationGracePeriodSeconds: 10,
  volumes: [
    hostPath('data', DATA_DIR, 'DirectoryOrCreate'),
    ...certificates(settings, 'server').volumes,
  ],
});

function etcdContainer(settings: Settings): Container {
  const { etcd, images, pod } = settings;
  const { given, folder, mounts } = certificates(settings, 'server');
  const scheme = choose(given, 'https', 'http');
  const advertised = (port: typeof etcd.port) => join(scheme, '://$(CALICO_ETCD_IP):', port);
  const everyAddress = (port: typeof etcd.port) => join(scheme, '://0.0.0.0:', port);
  // Both sides of clients and members prove themselves by certificates of one authority.
  const secured = (flag: string) => when(given, flag);
  return {
    name: NAME,
    image: imagesOf(settings).etcd,
    imagePullPolicy: images.pull_policy,
    command: [
      '/usr/local/bin/etcd',
      '--name=calico',
      `--data-dir=${DATA_DIR}/calico-data`,
      join('--advertise-client-urls=', advertised(etcd.port)),
      join('--listen-client-urls=', everyAddress(etcd.port)),
      join('--initial-advertise-peer-urls=', advertised(etcd.peerPort)),
      join('--listen-peer-urls=', everyAddress(etcd.peerPort)),
      join('--initial-cluster=calico=', advertised(etcd.peerPort)),
      join('--listen-metrics-urls=http://127.0.0.1:', etcd.healthPort),
      '--auto-compaction-retention=1',
      ...list<Of<string>>(
        ...['', 'peer-'].flatMap((side) => [
          secured(`--${side}client-cert-auth`),
          secured(`--${side}trusted-ca-file=${folder}/ca.crt`),
          secured(`--${side}cert-file=${folder}/tls.crt`),
          secured(`--${side}key-file=${folder}/tls.key`),
        ]),
      ),
    ],
    env: withMore([fromField('CALICO_ETCD_IP', 'status.podIP')], pod.etcd),
    resources: pod.etcd.resources,
    livenessProbe: { ...probe('/livez', etcd.healthPort), initialDelaySeconds: 10 },
    readinessProbe: { ...probe('/readyz', etcd.healthPort), periodSeconds: 2 },
    securityContext: dropAll(),
    volumeMounts: [{ name: 'data', mountPath: DATA_DIR }, ...mounts],
  };
}
