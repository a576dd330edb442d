// The pods of this node, by watch, with one direct read when a call is ahead of the watch.
import { OpError } from '../base/op-error.ts';
import type { KubernetesApi, Pod } from '../kubernetes/api.ts';

const idOf = (namespace: string, name: string): string => `${namespace}/${name}`;

export interface LocalPods {
  /**
   * The pod; undefined when Kubernetes does not know it. With a `uid`, an earlier pod of the same
   * name does not count. Throws OpError when it cannot be asked.
   */
  find(namespace: string, name: string, uid?: string): Promise<Pod | undefined>;
  /** From the watch alone. */
  known(namespace: string, name: string): Pod | undefined;
  /** Every pod that the watch has told of. */
  all(): readonly Pod[];
  /** Resolves when the first list is in. */
  synced(): Promise<void>;
  readonly inSync: boolean;
}

/** Follows the node's pods until the signal fires. */
export function followLocalPods(
  kubernetes: KubernetesApi,
  node: string,
  signal: AbortSignal,
): LocalPods {
  const pods = new Map<string, Pod>();
  let inSync = false;
  const first = Promise.withResolvers<void>();
  const put = (pod: Pod): void => {
    pods.set(idOf(pod.metadata.namespace ?? '', pod.metadata.name), pod);
  };
  kubernetes.watch(
    'pods',
    {
      snapshot(items) {
        pods.clear();
        for (const pod of items) put(pod);
        inSync = true;
        first.resolve();
      },
      put,
      gone: (pod) => void pods.delete(idOf(pod.metadata.namespace ?? '', pod.metadata.name)),
    },
    { fieldSelector: `spec.nodeName=${node}`, signal },
  );
  return {
    known: (namespace, name) => pods.get(idOf(namespace, name)),
    all: () => [...pods.values()],
    synced: () => first.promise,
    get inSync() {
      return inSync;
    },
    async find(namespace, name, uid) {
      const seen = pods.get(idOf(namespace, name));
      if (seen && (!uid || seen.metadata.uid === uid)) return seen;
      try {
        return await kubernetes.getPod(namespace, name);
      } catch (cause) {
        throw new OpError(`get pod ${idOf(namespace, name)}`, cause);
      }
    },
  };
}
