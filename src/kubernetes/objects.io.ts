// Objects of any kind by their path on the API server: for commands that make some for a while.
import {
  type ApiRequest,
  type Credentials,
  inClusterCredentials,
  kubeconfigCredentials,
  openResponse,
  readBody,
  StatusError,
} from './connection.io.ts';

const NOT_FOUND = 404;

export interface KubernetesObjects {
  /** The object at `path`, such as `/api/v1/nodes/n1`, or a list; undefined when there is none. */
  get<T>(path: string): Promise<T | undefined>;
  /** The text at `path`, such as a pod's log. */
  text(path: string): Promise<string>;
  /** Makes `object` in the collection at `path`. */
  create(path: string, object: object): Promise<void>;
  /** Deletes what is at `path`, with what belongs to it; that it is not there is no failure. */
  remove(path: string): Promise<void>;
}

/** With the pod's service account, or with the file that KUBECONFIG names. */
export async function openObjects(
  env: NodeJS.ProcessEnv = process.env,
): Promise<KubernetesObjects> {
  const file = env['KUBECONFIG'];
  return objectsOn(file ? await kubeconfigCredentials(file) : inClusterCredentials(env));
}

/** The same on these credentials. */
export function objectsOn(credentials: Credentials): KubernetesObjects {
  const call = async (request: ApiRequest): Promise<string> =>
    readBody(await openResponse(credentials, request));
  return {
    get: async <T>(path: string) => {
      try {
        return JSON.parse(await call({ method: 'GET', path })) as T;
      } catch (cause) {
        if (cause instanceof StatusError && cause.status === NOT_FOUND) return undefined;
        throw cause;
      }
    },
    text: (path) => call({ method: 'GET', path }),
    create: async (path, object) => {
      const body = { type: 'application/json', text: JSON.stringify(object) };
      await call({ method: 'POST', path, body });
    },
    remove: async (path) => {
      try {
        await call({ method: 'DELETE', path: `${path}?propagationPolicy=Background` });
      } catch (cause) {
        if (!(cause instanceof StatusError) || cause.status !== NOT_FOUND) throw cause;
      }
    },
  };
}
