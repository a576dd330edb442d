// What keeps calico-etcd in order by the clock: snapshots, and space given back. Both on the network of a
// control-plane node, so that they work without pod networking too.
import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Of } from '../../helm/expr.ts';
import { eq, list, not, str } from '../../helm/functions.ts';
import { only } from '../../helm/reading.ts';
import {
  type Container,
  dropAll,
  fromConfig,
  labelsOf,
  metadataOf,
  podMetadata,
  type Volume,
  type VolumeMount,
  withMore,
} from '../manifest.ts';
import { certificates, imagesOf, type Settings } from '../settings.ts';
import { onEtcdNodes, SNAPSHOTS_DIR, snapshotsVolumes } from './join.ts';

const SECONDS_MAX = 900;
/** Less is not worth a member that is silent meanwhile. */
const MEBIBYTES_MIN = '8';

interface Work {
  readonly name: string;
  readonly schedule: Of<string>;
  /** Words of `calico-kit etcd`. */
  readonly words: readonly Of<string>[];
  readonly mounts: readonly VolumeMount[];
  readonly volumes: readonly Of<Volume>[];
}

export function addUpkeep(scope: Construct, settings: Settings): void {
  const { snapshots, defragmentation } = settings.etcd;
  const works: readonly Work[] = [
    {
      name: 'calico-etcd-snapshot',
      schedule: snapshots.schedule,
      words: ['snapshot', '--dir', SNAPSHOTS_DIR, '--keep', str(snapshots.keep)],
      mounts: [{ name: 'snapshots', mountPath: SNAPSHOTS_DIR }],
      volumes: snapshotsVolumes(settings, true),
    },
    {
      name: 'calico-etcd-defragmentation',
      schedule: defragmentation.schedule,
      words: ['defrag', '--min-free', MEBIBYTES_MIN],
      mounts: [],
      volumes: [],
    },
  ];
  for (const work of works)
    only(scope, work.name, not(eq(work.schedule, '')), (at) => addCronJob(at, settings, work));
}

function addCronJob(scope: Construct, settings: Settings, work: Work): void {
  new ApiObject(scope, 'cronjob', {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: metadataOf(work.name),
    spec: {
      schedule: work.schedule,
      concurrencyPolicy: 'Forbid',
      successfulJobsHistoryLimit: 1,
      failedJobsHistoryLimit: 2,
      jobTemplate: {
        metadata: { labels: labelsOf(work.name) },
        spec: {
          activeDeadlineSeconds: SECONDS_MAX,
          backoffLimit: 2,
          template: {
            metadata: podMetadata(work.name, settings.pod.etcd, {}),
            spec: {
              ...onEtcdNodes(settings),
              automountServiceAccountToken: false,
              containers: [containerOf(settings, work)],
              restartPolicy: 'Never',
              terminationGracePeriodSeconds: 5,
              volumes: list<Of<Volume>>(work.volumes, certificates(settings).volumes),
            },
          },
        },
      },
    },
  });
}

function containerOf(settings: Settings, { words, mounts }: Work): Container {
  const { images, pod } = settings;
  const secured = certificates(settings);
  return {
    name: 'calico-kit',
    image: imagesOf(settings).kube_controllers,
    imagePullPolicy: images.pull_policy,
    resources: pod.etcd.resources,
    command: ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'etcd', ...words],
    env: withMore([fromConfig('ETCD_ENDPOINTS', 'etcd_endpoints'), ...secured.env], pod.etcd),
    // The folder is root's.
    securityContext: dropAll(),
    volumeMounts: list<Of<VolumeMount>>(mounts, secured.mounts),
  };
}
