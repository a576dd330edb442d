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
const CONFLICT = 409;

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

/** Objects that several write: nobody's change is lost. */
export interface SharedObjects {
  get: KubernetesObjects['get'];
  /** Makes `object` in the collection at `path`, unless one of its name is there; says whether it did. */
  createIfAbsent(path: string, object: object): Promise<boolean>;
  /**
   * Puts `object` in the place of the one at `path`. With a resourceVersion in its metadata only if
   * nobody else has changed it since; says whether it did.
   */
  replace(path: string, object: object): Promise<boolean>;
}

/** With the pod's service account, or with the file that KUBECONFIG names. */
export async function openObjects(
  env: NodeJS.ProcessEnv = process.env,
): Promise<KubernetesObjects & SharedObjects> {
  const file = env['KUBECONFIG'];
  return objectsOn(file ? await kubeconfigCredentials(file) : inClusterCredentials(env));
}

/** The same on these credentials. */
export function objectsOn(credentials: Credentials): KubernetesObjects & SharedObjects {
  const call = async (request: ApiRequest): Promise<string> =>
    readBody(await openResponse(credentials, request));
  const unlessConflict = async (
    method: 'POST' | 'PUT',
    path: string,
    object: object,
  ): Promise<boolean> => {
    try {
      const body = { type: 'application/json', text: JSON.stringify(object) };
      await call({ method, path, body });
      return true;
    } catch (cause) {
      if (cause instanceof StatusError && cause.status === CONFLICT) return false;
      throw cause;
    }
  };
  return {
    createIfAbsent: (path, object) => unlessConflict('POST', path, object),
    replace: (path, object) => unlessConflict('PUT', path, object),
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
