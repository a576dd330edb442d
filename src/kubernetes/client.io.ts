// The Kubernetes port on a real API server.
import type { Kinds, KubernetesApi, NodeWarning } from './api.ts';
import {
  type Credentials,
  inClusterCredentials,
  kubeconfigCredentials,
  openResponse,
  readBody,
  StatusError,
} from './connection.io.ts';
import { pathOf, TRIM } from './kinds.ts';
import { followKind } from './list-watch.io.ts';

const NOT_FOUND = 404;
const KUBEVIRT = '/apis/kubevirt.io/v1';

/** With the pod's service account, or with the file that KUBECONFIG names. */
export async function openKubernetes(env: NodeJS.ProcessEnv = process.env): Promise<KubernetesApi> {
  const file = env['KUBECONFIG'];
  return kubernetesApi(file ? await kubeconfigCredentials(file) : inClusterCredentials(env));
}

/** The port on these credentials. */
export function kubernetesApi(credentials: Credentials): KubernetesApi {
  const read = async (path: string): Promise<string | undefined> => {
    try {
      return await readBody(await openResponse(credentials, { method: 'GET', path }));
    } catch (cause) {
      if (cause instanceof StatusError && cause.status === NOT_FOUND) return undefined;
      throw cause;
    }
  };
  const get = async <K extends keyof Kinds>(
    kind: K,
    path: string,
  ): Promise<Kinds[K] | undefined> => {
    const text = await read(path);
    return text === undefined ? undefined : TRIM[kind](JSON.parse(text) as Kinds[K]);
  };
  return {
    getPod: (namespace, name) => get('pods', `/api/v1/namespaces/${namespace}/pods/${name}`),
    getNode: (name) => get('nodes', `/api/v1/nodes/${name}`),
    getNamespace: (name) => get('namespaces', `/api/v1/namespaces/${name}`),
    // Where KubeVirt is not installed the server finds neither.
    hasMachine: async (namespace, name) => {
      const of = (kind: string) => read(`${KUBEVIRT}/namespaces/${namespace}/${kind}/${name}`);
      const machine = (await of('virtualmachines')) ?? (await of('virtualmachineinstances'));
      return machine !== undefined;
    },
    watch: (kind, watcher, { namespace, fieldSelector, signal }) =>
      void followKind({
        credentials,
        path: pathOf(kind, namespace),
        fieldSelector,
        trim: TRIM[kind],
        watcher,
        signal,
      }),
    setNetworkUnavailable: async (node, condition) => {
      const text = JSON.stringify({ status: { conditions: [conditionOf(condition)] } });
      const body = { type: 'application/strategic-merge-patch+json', text };
      const path = `/api/v1/nodes/${node}/status`;
      await readBody(await openResponse(credentials, { method: 'PATCH', path, body }));
    },
    warnOfNode: async (node, warning) => {
      const body = { type: 'application/json', text: JSON.stringify(eventOf(node, warning)) };
      const path = `/api/v1/namespaces/${EVENTS_NAMESPACE}/events`;
      await readBody(await openResponse(credentials, { method: 'POST', path, body }));
    },
  };
}

/** Events of what is in no namespace are here. */
const EVENTS_NAMESPACE = 'default';
const COMPONENT = 'calico-node';

const nowText = (): string => new Date().toISOString().replace(/\.\d+Z$/, 'Z');

type Unavailability = Parameters<KubernetesApi['setNetworkUnavailable']>[1];

function conditionOf({ unavailable, reason, message }: Unavailability) {
  const now = nowText();
  return {
    type: 'NetworkUnavailable',
    status: unavailable ? 'True' : 'False',
    reason,
    message,
    lastTransitionTime: now,
    lastHeartbeatTime: now,
  };
}

/** As kubelet writes them: kubectl looks for the node's name in the place of its uid. */
function eventOf(node: string, { reason, message }: NodeWarning) {
  const now = nowText();
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: `${node}.`, namespace: EVENTS_NAMESPACE },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: node, uid: node },
    reason,
    message,
    type: 'Warning',
    count: 1,
    firstTimestamp: now,
    lastTimestamp: now,
    source: { component: COMPONENT, host: node },
    reportingComponent: COMPONENT,
    reportingInstance: node,
  };
}
