// The pods of this node and the namespaces, by watch, with one direct read when a call is ahead of
// the watch.
import { OpError } from '../base/op-error.ts';
import type { KubernetesApi, Namespace, Pod } from '../kubernetes/api.ts';

const idOf = (namespace: string, name: string): string => `${namespace}/${name}`;

export interface LocalPods {
  /**
   * The pod; undefined when Kubernetes does not know it. With a `uid`, an earlier pod of the same
   * name does not count. Throws OpError when it cannot be asked.
   */
  find(namespace: string, name: string, uid?: string): Promise<Pod | undefined>;
  /** Its labels and annotations count for its pods. Throws OpError when it cannot be asked. */
  namespace(name: string): Promise<Namespace | undefined>;
  /** Ranges that Kubernetes has given this node. Throws OpError when it cannot be asked. */
  podCidrs(): Promise<readonly string[]>;
  /** From the watch alone. */
  known(namespace: string, name: string): Pod | undefined;
  /** Every pod that the watch has told of. */
  all(): readonly Pod[];
  /** Resolves when the first list is in. */
  synced(): Promise<void>;
  readonly inSync: boolean;
}

/** Follows the node's pods and all namespaces until the signal fires. */
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
  const namespaces = followNamespaces(kubernetes, signal);
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
      const what = `get pod ${idOf(namespace, name)}`;
      return asked(what, () => kubernetes.getPod(namespace, name));
    },
    namespace: async (name) =>
      namespaces.get(name) ?? asked(`get namespace ${name}`, () => kubernetes.getNamespace(name)),
    async podCidrs() {
      const { spec } = (await asked(`get node ${node}`, () => kubernetes.getNode(node))) ?? {};
      return spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []);
    },
  };
}

function followNamespaces(
  kubernetes: KubernetesApi,
  signal: AbortSignal,
): ReadonlyMap<string, Namespace> {
  const namespaces = new Map<string, Namespace>();
  const put = (namespace: Namespace): void =>
    void namespaces.set(namespace.metadata.name, namespace);
  kubernetes.watch(
    'namespaces',
    {
      snapshot(items) {
        namespaces.clear();
        for (const namespace of items) put(namespace);
      },
      put,
      gone: ({ metadata }) => void namespaces.delete(metadata.name),
    },
    { signal },
  );
  return namespaces;
}

async function asked<T>(what: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw new OpError(what, cause);
  }
}
