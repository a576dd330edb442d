// The Kubernetes port on a real API server.
import type { Kinds, KubernetesApi } from './api.ts';
import {
  type Credentials,
  inClusterCredentials,
  kubeconfigCredentials,
  openResponse,
  readBody,
  StatusError,
} from './connection.io.ts';
import { followKind } from './list-watch.io.ts';

const PATHS: Readonly<Record<keyof Kinds, string>> = {
  pods: '/api/v1/pods',
  namespaces: '/api/v1/namespaces',
  serviceaccounts: '/api/v1/serviceaccounts',
  nodes: '/api/v1/nodes',
  networkpolicies: '/apis/networking.k8s.io/v1/networkpolicies',
};

const NOT_FOUND = 404;

/** With the pod's service account, or with the file that KUBECONFIG names. */
export async function openKubernetes(env: NodeJS.ProcessEnv = process.env): Promise<KubernetesApi> {
  const file = env['KUBECONFIG'];
  return apiOf(file ? await kubeconfigCredentials(file) : inClusterCredentials(env));
}

function apiOf(credentials: Credentials): KubernetesApi {
  const get = async <T>(path: string): Promise<T | undefined> => {
    try {
      return JSON.parse(
        await readBody(await openResponse(credentials, { method: 'GET', path })),
      ) as T;
    } catch (cause) {
      if (cause instanceof StatusError && cause.status === NOT_FOUND) return undefined;
      throw cause;
    }
  };
  return {
    getPod: (namespace, name) => get(`/api/v1/namespaces/${namespace}/pods/${name}`),
    getNode: (name) => get(`/api/v1/nodes/${name}`),
    getNamespace: (name) => get(`/api/v1/namespaces/${name}`),
    watch: (kind, watcher, { fieldSelector, signal }) =>
      void followKind({ credentials, path: PATHS[kind], fieldSelector, watcher, signal }),
    setNetworkUnavailable: async (node, { unavailable, reason, message }) => {
      const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
      const condition = {
        type: 'NetworkUnavailable',
        status: unavailable ? 'True' : 'False',
        reason,
        message,
        lastTransitionTime: now,
        lastHeartbeatTime: now,
      };
      const text = JSON.stringify({ status: { conditions: [condition] } });
      const body = { type: 'application/strategic-merge-patch+json', text };
      await readBody(
        await openResponse(credentials, {
          method: 'PATCH',
          path: `/api/v1/nodes/${node}/status`,
          body,
        }),
      );
    },
  };
}
