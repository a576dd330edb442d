// Cleaning the nodes on uninstall. An agent that is stopped leaves the data path as it is, so that
// restarts and upgrades cut nobody; somebody else has to take it away in the end. After `helm
// uninstall` has deleted the rest, a DaemonSet cleans each node as soon as the node's agent is
// gone, and a Job lets Helm wait until every node is done. Helm then deletes both.
// With plain manifests these objects are a folder of their own, to be applied after the deletion.
import { ApiObject, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Of } from '../helm/expr.ts';
import { list, when } from '../helm/functions.ts';
import { only } from '../helm/reading.ts';
import { AGENT_CAPABILITIES, AGENT_COMMAND, NODE, nodeMounts, nodeVolumes } from './calico-node.ts';
import { ERASED_PATHS, eraseRules, erasing } from './etcd/erase.ts';
import { NAME as ETCD } from './etcd/join.ts';
import {
  type Container,
  dropAll,
  type EnvironmentVariable,
  everywhere,
  labelsOf,
  metadataOf,
  NAMESPACE,
  type PodSpec,
  placed,
  podMetadata,
  type Volume,
  withMore,
} from './manifest.ts';
import {
  apiServer,
  contextOf,
  imagesOf,
  PROC_SYS_NET,
  type Settings,
  servesServices,
} from './settings.ts';

const NAME = 'calico-node-cleanup';
const WAIT_SECONDS_MAX = 240;
const NOBODY = 65534;

export class CalicoCleanup extends Chart {
  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id, { disableResourceNameHashes: true });
    only(this, 'cleanup', settings.uninstall.cleanNodes, (at) => {
      addAccount(at, settings);
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

function addAccount(scope: Construct, { uninstall }: Settings): void {
  const group = 'rbac.authorization.k8s.io';
  const metadata = hookOf(0);
  new ApiObject(scope, 'account', { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  new ApiObject(scope, 'role', {
    apiVersion: `${group}/v1`,
    kind: 'Role',
    metadata,
    rules: list<object>(
      { apiGroups: ['apps'], resources: ['daemonsets'], resourceNames: [NAME], verbs: ['get'] },
      ...eraseRules.map((rule) => when(uninstall.removeDatastore, rule)),
    ),
  });
  new ApiObject(scope, 'binding', {
    apiVersion: `${group}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: group, kind: 'Role', name: NAME },
    subjects: [{ kind: 'ServiceAccount', name: NAME, namespace: NAMESPACE }],
  });
  addNodeRights(scope);
}

// The condition of nodes that the agents set is taken away with them.
function addNodeRights(scope: Construct): void {
  const group = 'rbac.authorization.k8s.io';
  const { namespace: _none, ...metadata } = hookOf(0);
  new ApiObject(scope, 'node-role', {
    apiVersion: `${group}/v1`,
    kind: 'ClusterRole',
    metadata,
    rules: [
      { apiGroups: [''], resources: ['nodes'], verbs: ['list'] },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ],
  });
  new ApiObject(scope, 'node-binding', {
    apiVersion: `${group}/v1`,
    kind: 'ClusterRoleBinding',
    metadata,
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: NAME },
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
      template: {
        metadata: podMetadata(NAME, settings.pod.calico_node, {}),
        spec: cleanupPod(settings),
      },
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
        metadata: podMetadata(`${NAME}-wait`, settings.pod.calico_node, {}),
        spec: waitingPod(settings),
      },
    },
  });
}

// As calico-node's pods are, but on every node: one may have carried such a pod under other settings.
const anywhere = (settings: Settings) => ({
  ...placed(settings.pod.calico_node, settings.images, contextOf(settings)),
  nodeSelector: everywhere.nodeSelector,
  tolerations: everywhere.tolerations,
});

// The pod is ready once its init containers have cleaned the node; after that it only idles.
function cleanupPod(settings: Settings): PodSpec {
  const { container, volume } = erasing(settings, imageOf(settings));
  const notBeside = (app: string) => ({
    labelSelector: { matchLabels: labelsOf(app) },
    topologyKey: 'kubernetes.io/hostname',
  });
  return {
    ...anywhere(settings),
    // Never beside a running agent, which would repair what is taken away, nor beside a datastore.
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [NODE, ETCD].map(notBeside),
      },
    },
    automountServiceAccountToken: false,
    initContainers: list<Of<Container>>(
      {
        name: 'cleanup',
        ...imageOf(settings),
        command: [...AGENT_COMMAND, 'cleanup'],
        env: withMore(
          list<Of<EnvironmentVariable>>(
            { name: 'CNI_CONF_NAME', value: '10-calico.conflist' },
            { name: 'CNI_NET_DIR', value: '/etc/cni/net.d' },
            PROC_SYS_NET,
            servesServices(settings),
          ),
          settings.pod.calico_node,
        ),
        securityContext: dropAll(...AGENT_CAPABILITIES),
        volumeMounts: nodeMounts,
      },
      container,
    ),
    containers: [{ name: 'done', ...imageOf(settings), ...script(IDLE, settings) }],
    terminationGracePeriodSeconds: 5,
    volumes: list<Of<Volume>>(nodeVolumes, volume),
  };
}

const waitingPod = (settings: Settings): PodSpec => ({
  ...anywhere(settings),
  containers: [
    {
      name: 'wait',
      ...imageOf(settings),
      ...script(WAIT, settings, when(settings.uninstall.removeDatastore, ERASED)),
    },
  ],
  restartPolicy: 'Never',
  serviceAccountName: NAME,
  terminationGracePeriodSeconds: 5,
});

const imageOf = (settings: Settings) => ({
  image: imagesOf(settings).node,
  imagePullPolicy: settings.images.pull_policy,
  resources: settings.pod.calico_node.resources,
});

// The image holds Node but neither a shell nor kubectl.
const script = (text: string, settings: Settings, more?: Of<EnvironmentVariable>) => ({
  command: ['/usr/local/bin/node', '--input-type=module', '--eval', text],
  env: withMore(
    list<Of<EnvironmentVariable>>(
      {
        name: 'NODE_EXTRA_CA_CERTS',
        value: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
      },
      // Services may be no more.
      apiServer(settings),
      more,
    ),
    settings.pod.calico_node,
  ),
  securityContext: {
    ...dropAll(),
    runAsNonRoot: true,
    runAsUser: NOBODY,
  },
});

const ERASED: EnvironmentVariable = { name: 'ERASED', value: ERASED_PATHS.join(' ') };

const IDLE = `process.on('SIGTERM', () => process.exit());
setInterval(() => {}, 60_000);
`;

const WAIT = `import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
const server = 'https://' + (host.includes(':') ? '[' + host + ']' : host) + ':' + port;
const call = async (path, method, patch) => {
  const token = readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/token', 'utf8');
  const headers = { authorization: 'Bearer ' + token };
  if (patch) headers['content-type'] = 'application/strategic-merge-patch+json';
  const body = patch && JSON.stringify(patch);
  const reply = await fetch(server + path, { method, headers, body });
  if (!reply.ok && !(method === 'DELETE' && reply.status === 404))
    throw new Error('the API server answers ' + reply.status);
  return reply.json();
};
const isOurs = ({ type, reason }) => type === 'NetworkUnavailable' && reason === 'CalicoIsUp';
const silence = async () => {
  const { items } = await call('/api/v1/nodes', 'GET');
  const conditions = [{ type: 'NetworkUnavailable', $patch: 'delete' }];
  for (const { metadata, status } of items)
    if (status.conditions?.some(isOurs))
      await call('/api/v1/nodes/' + metadata.name + '/status', 'PATCH', { status: { conditions } });
};
const erased = (process.env.ERASED ?? '').split(' ').filter(Boolean);
for (let done = false; !done; await sleep(1000)) {
  try {
    const path = '/apis/apps/v1/namespaces/${NAMESPACE}/daemonsets/${NAME}';
    const { metadata, status } = await call(path, 'GET');
    const { desiredNumberScheduled: nodes, numberReady: clean } = status;
    console.log(clean + ' of ' + nodes + ' nodes are clean');
    if (status.observedGeneration !== metadata.generation) continue;
    if (nodes === 0 || clean !== nodes) continue;
    await silence();
    for (const path of erased) await call(path, 'DELETE');
    done = true;
  } catch (error) {
    console.error(String(error.cause ?? error));
  }
}
`;
