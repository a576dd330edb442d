// The datastore in the cluster: one etcd member, or several, each on a control-plane node of its own, and
// a Service whose address is fixed, because nodes need it before any cluster DNS can answer. Before a
// member starts, an init container sees to it that there is one datastore, whoever starts first.
import { ApiObject } from 'cdk8s';
import { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { choose, eq, join, list, not, or, when } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import {
  addAccount,
  DATA_DIR,
  joining,
  joiningVolumes,
  memberEnvironment,
  NAME,
  onEtcdNodes,
} from './etcd/join.ts';
import { addUpkeep } from './etcd/upkeep.ts';
import {
  type Container,
  dropAll,
  hostPath,
  labelsOf,
  metadataOf,
  type PodSpec,
  podMetadata,
  probe,
  type Volume,
  withMore,
} from './manifest.ts';
import { certificates, imagesOf, type Settings } from './settings.ts';

export class CalicoEtcd extends Construct {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id);
    const { manifests } = settings;
    only(this, 'address', manifests.service_calico_etcd, (at) => service(at, settings));
    only(this, 'members', manifests.daemonset_calico_etcd, (at) => {
      addAccount(at, settings);
      daemonSet(at, settings);
      only(at, 'several', not(eq(settings.etcd.members, 1)), (inner) => budget(inner, settings));
      addUpkeep(at, settings);
    });
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
  const { members, restore } = settings.etcd;
  // To begin anew from a snapshot all must have ended; a single one has nobody to wait for.
  const atOnce = or(eq(members, 1), not(eq(restore, '')));
  new ApiObject(scope, 'daemonset', {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: metadataOf(NAME),
    spec: {
      selector: { matchLabels: labelsOf(NAME) },
      updateStrategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxUnavailable: choose<string | number>(atOnce, '100%', 1) },
      },
      template: {
        // etcd reads whom it trusts when it starts.
        metadata: podMetadata(NAME, settings.pod.etcd, {
          'calico-kit/etcd-authority': settings.etcd.tls.rotate_authority,
        }),
        spec: podSpec(settings),
      },
    },
  });
}

/** Evictions leave a majority. */
function budget(scope: Construct, { etcd }: Settings): void {
  new ApiObject(scope, 'budget', {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadataOf(NAME),
    spec: {
      minAvailable: choose(eq(etcd.members, 5), 3, 2),
      selector: { matchLabels: labelsOf(NAME) },
    },
  });
}

const podSpec = (settings: Settings): PodSpec => ({
  ...onEtcdNodes(settings),
  // Its token is for the init container alone.
  automountServiceAccountToken: false,
  initContainers: [joining(settings, etcdCommand(settings))],
  containers: [etcdContainer(settings)],
  serviceAccountName: NAME,
  terminationGracePeriodSeconds: 10,
  volumes: list<Of<Volume>>(
    hostPath('data', DATA_DIR, 'DirectoryOrCreate'),
    certificates(settings, 'server').volumes,
    joiningVolumes(settings),
  ),
});

function etcdContainer(settings: Settings): Container {
  const { etcd, images, pod } = settings;
  const { mounts } = certificates(settings, 'server');
  return {
    name: NAME,
    image: imagesOf(settings).etcd,
    imagePullPolicy: images.pull_policy,
    command: etcdCommand(settings),
    env: withMore(memberEnvironment, pod.etcd),
    resources: pod.etcd.resources,
    livenessProbe: { ...probe('/livez', etcd.healthPort), initialDelaySeconds: 10 },
    readinessProbe: { ...probe('/readyz', etcd.healthPort), periodSeconds: 2 },
    securityContext: dropAll(),
    volumeMounts: [{ name: 'data', mountPath: DATA_DIR }, ...mounts],
  };
}

/** As of a first member: one whose data is there goes by its data. */
function etcdCommand(settings: Settings): readonly Of<string>[] {
  const { etcd } = settings;
  const { given, folder } = certificates(settings, 'server');
  const scheme = choose(given, 'https', 'http');
  const advertised = (port: typeof etcd.port) => join(scheme, '://$(CALICO_ETCD_IP):', port);
  const everyAddress = (port: typeof etcd.port) => join(scheme, '://0.0.0.0:', port);
  // Both sides of clients and members prove themselves by certificates of one authority.
  const secured = (flag: string) => when(given, flag);
  const name = choose(eq(etcd.members, 1), 'calico', '$(CALICO_ETCD_NODE)');
  return [
    '/usr/local/bin/etcd',
    join('--name=', name),
    `--data-dir=${DATA_DIR}/calico-data`,
    join('--advertise-client-urls=', advertised(etcd.port)),
    join('--listen-client-urls=', everyAddress(etcd.port)),
    join('--initial-advertise-peer-urls=', advertised(etcd.peerPort)),
    join('--listen-peer-urls=', everyAddress(etcd.peerPort)),
    join('--initial-cluster=', name, '=', advertised(etcd.peerPort)),
    join('--listen-metrics-urls=http://127.0.0.1:', etcd.healthPort),
    join('--auto-compaction-retention=', etcd.autoCompactionRetention),
    join('--quota-backend-bytes=', etcd.quotaBytes),
    ...list<Of<string>>(
      ...['', 'peer-'].flatMap((side) => [
        secured(`--${side}client-cert-auth`),
        secured(`--${side}trusted-ca-file=${folder}/ca.crt`),
        secured(`--${side}cert-file=${folder}/tls.crt`),
        secured(`--${side}key-file=${folder}/tls.key`),
      ]),
    ),
  ];
}
