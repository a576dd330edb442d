// Cleaning the nodes on uninstall. An agent that is stopped leaves the data path as it is, so that
// restarts and upgrades cut nobody; somebody else has to take it away in the end. After `helm
// uninstall` has deleted the rest, a DaemonSet cleans each node as soon as the node's agent is
// gone, and a Job lets Helm wait until every node is done. Helm then deletes both.
// With plain manifests these objects are a folder of their own, to be applied after the deletion.
import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { list } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import { AGENT_CAPABILITIES, AGENT_COMMAND, NODE, nodeMounts, nodeVolumes } from './calico-node.ts';
import {
  dropAll,
  type EnvironmentVariable,
  everywhere,
  labelsOf,
  metadataOf,
  NAMESPACE,
  type PodSpec,
} from './manifest.ts';
import { apiServer, imagesOf, PROC_SYS_NET, type Settings, servesServices } from './settings.ts';

const NAME = 'calico-node-cleanup';
const WAIT_SECONDS_MAX = 240;
const NOBODY = 65534;

export class CalicoCleanup extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id, { disableResourceNameHashes: true });
    only(this, 'cleanup', settings.uninstall.cleanNodes, (at) => {
      addAccount(at);
      addDaemonSet(at, settings);
      addJob(at, settings);
    });
  }
}

// Helm runs the hooks of one event by weight and deletes them after the last has succeeded.
const hookOf = (weight: number) => ({
  ...metadataOf(NAME),
  annotations: {
    'helm.sh/hook': 'post-delete',
    'helm.sh/hook-weight': String(weight),
    'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
  },
});

function addAccount(scope: Construct): void {
  const group = 'rbac.authorization.k8s.io';
  const metadata = hookOf(0);
  new ApiObject(scope, 'account', { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  new ApiObject(scope, 'role', {
    apiVersion: `${group}/v1`,
    kind: 'Role',
    metadata,
    rules: [
      { apiGroups: ['apps'], resources: ['daemonsets'], resourceNames: [NAME], verbs: ['get'] },
    ],
  });
  new ApiObject(scope, 'binding', {
    apiVersion: `${group}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: group, kind: 'Role', name: NAME },
    subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
  });
}

function addDaemonSet(scope: Construct, settings: Settings): void {
  new ApiObject(scope, 'daemonset', {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: hookOf(1),
    spec: {
      selector: { matchLabels: labelsOf(NAME) },
      template: { metadata: { labels: labelsOf(NAME) }, spec: cleanupPod(settings) },
    },
  });
}

function addJob(scope: Construct, settings: Settings): void {
  new ApiObject(scope, 'job', {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: hookOf(2),
    spec: {
      activeDeadlineSeconds: WAIT_SECONDS_MAX,
      backoffLimit: 0,
      template: {
        metadata: { labels: labelsOf(`${NAME}-wait`) },
        spec: waitingPod(settings),
      },
    },
  });
}

// The pod is ready once its init container has cleaned the node; after that it only idles.
const cleanupPod = (settings: Settings): PodSpec => ({
  ...everywhere,
  // Never beside a running agent, which would repair what is taken away.
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: labelsOf(NODE) }, topologyKey: 'kubernetes.io/hostname' },
      ],
    },
  },
  automountServiceAccountToken: false,
  initContainers: [
    {
      name: 'cleanup',
      ...imageOf(settings),
      command: [...AGENT_COMMAND, 'cleanup'],
      env: list<Of<EnvironmentVariable>>(
        { name: 'CNI_CONF_NAME', value: '10-calico.conflist' },
        { name: 'CNI_NET_DIR', value: '/etc/cni/net.d' },
        PROC_SYS_NET,
        servesServices(settings),
      ),
      securityContext: dropAll(...AGENT_CAPABILITIES),
      volumeMounts: nodeMounts,
    },
  ],
  containers: [{ name: 'done', ...imageOf(settings), ...script(IDLE, settings) }],
  priorityClassName: 'system-node-critical',
  terminationGracePeriodSeconds: 5,
  volumes: nodeVolumes,
});

const waitingPod = (settings: Settings): PodSpec => ({
  ...everywhere,
  containers: [{ name: 'wait', ...imageOf(settings), ...script(WAIT, settings) }],
  priorityClassName: 'system-cluster-critical',
  restartPolicy: 'Never',
  serviceAccountName: NAME,
  terminationGracePeriodSeconds: 5,
});

const imageOf = (settings: Settings) => ({
  image: imagesOf(settings).node,
  imagePullPolicy: settings.images.pull_policy,
});

// The image holds Node but neither a shell nor kubectl.
const script = (text: string, settings: Settings) => ({
  command: ['/usr/local/bin/node', '--input-type=module', '--eval', text],
  env: list<Of<EnvironmentVariable>>(
    {
      name: 'NODE_EXTRA_CA_CERTS',
      value: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    },
    // Services may be no more.
    apiServer(settings),
  ),
  securityContext: {
    ...dropAll(),
    runAsNonRoot: true,
    runAsUser: NOBODY,
  },
});

const IDLE = `process.on('SIGTERM', () => process.exit());
setInterval(() => {}, 60_000);
`;

const WAIT = `import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
const server = 'https://' + (host.includes(':') ? '[' + host + ']' : host) + ':' + port;
const url = server + '/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/${NAME}';
for (let done = false; !done; await sleep(1000)) {
  try {
    const token = readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8');
    const reply = await fetch(url, { headers: { authorization: 'Bearer ' + token } });
    if (!reply.ok) throw new Error('the API server answers ' + reply.status);
    const { metadata, status } = await reply.json();
    const { desiredNumberScheduled: nodes, numberReady: clean } = status;
    console.log(clean + ' of ' + nodes + ' nodes are clean');
    done = status.observedGeneration === metadata.generation && nodes > 0 && clean === nodes;
  } catch (error) {
    console.error(String(error.cause ?? error));
  }
}
`;
