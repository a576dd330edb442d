// The Kubernetes port's memory twin: objects that tests put and delete, watches that hear of them.
import type { Kinds, KindWatcher, KubernetesApi, Metadata, Node, NodeWarning, Pod } from './api.ts';

export interface MemoryKubernetes extends KubernetesApi {
  put<K extends keyof Kinds>(kind: K, object: Kinds[K]): void;
  remove<K extends keyof Kinds>(kind: K, name: string, namespace?: string): void;
  /** Conditions that were set, by node. */
  readonly conditions: ReadonlyMap<
    string,
    { readonly unavailable: boolean; readonly reason: string }
  >;
  /** Events that were made. */
  readonly warnings: readonly (NodeWarning & { readonly node: string })[];
  /** VMs of KubeVirt, `namespace/name`. */
  readonly machines: Set<string>;
  /** Reads and events fail until called with false. */
  setUnreachable(unreachable: boolean): void;
}

interface Watching {
  readonly kind: keyof Kinds;
  readonly watcher: KindWatcher<Kinds[keyof Kinds]>;
  readonly selects: (object: Kinds[keyof Kinds]) => boolean;
  readonly signal: AbortSignal;
}

const idOf = (metadata: Metadata): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** `spec.nodeName=x` and `metadata.name=x`: the selectors that we use. */
function selectorOf(
  text: string | undefined,
  namespace: string | undefined,
): (object: Kinds[keyof Kinds]) => boolean {
  const selected = fieldSelectorOf(text);
  return (object) =>
    (namespace ?? object.metadata.namespace) === object.metadata.namespace && selected(object);
}

function fieldSelectorOf(text: string | undefined): (object: Kinds[keyof Kinds]) => boolean {
  const [field, wanted] = (text ?? '').split('=');
  if (field === 'spec.nodeName') return (object) => (object as Pod).spec.nodeName === wanted;
  if (field === 'metadata.name') return (object) => object.metadata.name === wanted;
  return () => true;
}

const tellOne = ({ watcher, signal }: Watching, object: Kinds[keyof Kinds], gone: boolean): void =>
  queueMicrotask(() => {
    if (signal.aborted) return;
    if (gone) watcher.gone(object);
    else watcher.put(object);
  });

function begin(
  watching: Watching,
  objects: Iterable<Kinds[keyof Kinds]>,
  watches: Set<Watching>,
): void {
  const { watcher, selects, signal } = watching;
  if (signal.aborted) return;
  watcher.snapshot([...objects].filter(selects));
  watcher.connection?.(true);
  watches.add(watching);
}

export function memoryKubernetes(): MemoryKubernetes {
  const kinds = new Map<keyof Kinds, Map<string, Kinds[keyof Kinds]>>();
  const watches = new Set<Watching>();
  const warnings: (NodeWarning & { readonly node: string })[] = [];
  const machines = new Set<string>();
  const conditions = new Map<string, { unavailable: boolean; reason: string }>();
  let unreachable = false;
  const objectsOf = (kind: keyof Kinds): Map<string, Kinds[keyof Kinds]> => {
    const objects = kinds.get(kind) ?? new Map<string, Kinds[keyof Kinds]>();
    kinds.set(kind, objects);
    return objects;
  };
  const reached = <T>(answer: T): T => {
    if (unreachable) throw new Error('the API server cannot be reached');
    return answer;
  };
  const find = async <T>(kind: keyof Kinds, id: string): Promise<T | undefined> =>
    reached(objectsOf(kind).get(id) as T | undefined);
  const tell = (kind: keyof Kinds, object: Kinds[keyof Kinds], gone: boolean): void => {
    for (const watch of watches)
      if (watch.kind === kind && watch.selects(object)) tellOne(watch, object, gone);
  };
  return {
    conditions,
    machines,
    warnings,
    setUnreachable: (now) => {
      unreachable = now;
    },
    put: (kind, object) => {
      objectsOf(kind).set(idOf(object.metadata), object);
      tell(kind, object, false);
    },
    remove: (kind, name, namespace) => {
      const id = `${namespace ?? ''}/${name}`;
      const object = objectsOf(kind).get(id);
      objectsOf(kind).delete(id);
      if (object) tell(kind, object, true);
    },
    getPod: (namespace, name) => find<Pod>('pods', `${namespace}/${name}`),
    getNode: (name) => find<Node>('nodes', `/${name}`),
    getNamespace: (name) => find('namespaces', `/${name}`),
    hasMachine: async (namespace, name) => reached(machines.has(`${namespace}/${name}`)),
    watch: (kind, watcher, { namespace, fieldSelector, signal }) => {
      const selects = selectorOf(fieldSelector, namespace);
      // One watch hears only of its own kind.
      const heard = watcher as unknown as KindWatcher<Kinds[keyof Kinds]>;
      const watching: Watching = { kind, watcher: heard, selects, signal };
      queueMicrotask(() => begin(watching, objectsOf(kind).values(), watches));
    },
    setNetworkUnavailable: async (node, { unavailable, reason }) => {
      conditions.set(node, { unavailable, reason });
    },
    warnOfNode: async (node, warning) => void reached(warnings).push({ node, ...warning }),
  };
}
