// Whether the pools of new settings can be: asked of the datastore before an upgrade changes anything. A
// pool keeps its prefix and the size of its blocks, since pods have addresses of it; the controllers would
// leave it as it is, and nobody would read why. Helm shows what the Job says when it refuses, and applies
// nothing; the release keeps its values, so that another upgrade or a rollback goes on from there.
// With plain manifests this is a folder of its own: applied, and waited for, before changed manifests are.
import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { choose, eq, json, list, not, when } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import {
  dropAll,
  type EnvironmentVariable,
  ETCD_CONFIG,
  metadataOf,
  type PodSpec,
  placed,
  podMetadata,
  withMore,
} from './manifest.ts';
import { certificates, contextOf, imagesOf, type Settings } from './settings.ts';

const NAME = 'calico-pools-check';
const SECONDS_MAX = 120;
const NOBODY = 65534;

export class CalicoPoolsCheck extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id, { disableResourceNameHashes: true });
    only(this, 'check', settings.manifests.job_pools_check, (at) => {
      new ApiObject(at, 'job', {
        apiVersion: 'batch/v1',
        kind: 'Job',
        metadata: { ...metadataOf(NAME), annotations: hookOf(settings) },
        spec: {
          activeDeadlineSeconds: SECONDS_MAX,
          // It looks again by itself; an answer is an answer.
          backoffLimit: 0,
          template: {
            metadata: podMetadata(NAME, settings.pod.kube_controllers, {}),
            spec: podSpec(settings),
          },
        },
      });
    });
  }
}

// An etcd of the user's own may hold pools before anything is installed; calico-etcd runs only then. After
// the certificates, which it may show.
const hookOf = ({ etcd }: Settings) => ({
  'helm.sh/hook': `${choose(eq(etcd.endpoints, ''), 'pre-upgrade', 'pre-install,pre-upgrade')}`,
  'helm.sh/hook-weight': '-5',
  'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
  'helm.sh/hook-output-log-policy': 'hook-failed',
});

/** The pools of the settings, as `calico-kit settings check` reads them. */
const poolsOf = ({ networking }: Settings): Of<string> =>
  json({
    podSubnet: networking.podSubnet,
    blockSize: networking.settings.ippool.block_size,
    pools: networking.pools,
  });

// Where the datastore of the release that runs is; where there is none, the one that is asked for.
const endpoints = ({ etcd }: Settings): readonly Of<EnvironmentVariable>[] => {
  const isOwn = not(eq(etcd.endpoints, ''));
  const name = 'ETCD_ENDPOINTS';
  const configMapKeyRef = { name: ETCD_CONFIG, key: 'etcd_endpoints', optional: true };
  return list<Of<EnvironmentVariable>>(
    when(isOwn, { name, value: etcd.endpoints }),
    when(not(isOwn), { name, valueFrom: { configMapKeyRef } }),
  );
};

const podSpec = (settings: Settings): PodSpec => {
  const secured = certificates(settings, 'client', { optional: true });
  return {
    // On the nodes' network: it works where pod networking does not.
    ...placed(settings.pod.kube_controllers, settings.images, contextOf(settings)),
    automountServiceAccountToken: false,
    containers: [
      {
        name: 'check',
        image: imagesOf(settings).kube_controllers,
        imagePullPolicy: settings.images.pull_policy,
        resources: settings.pod.kube_controllers.resources,
        command: ['/usr/local/bin/node', '/opt/calico/cli.mjs', 'settings', 'check'],
        env: withMore(
          list<Of<EnvironmentVariable>>(
            endpoints(settings),
            { name: 'CALICO_SETTINGS_POOLS', value: poolsOf(settings) },
            secured.env,
          ),
          settings.pod.kube_controllers,
        ),
        securityContext: {
          ...dropAll(),
          runAsNonRoot: true,
          runAsUser: NOBODY,
        },
        // `kubectl describe` shows it too.
        terminationMessagePolicy: 'FallbackToLogsOnError',
        volumeMounts: secured.mounts,
      },
    ],
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 5,
    volumes: secured.volumes,
  };
};
