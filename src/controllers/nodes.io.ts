// Calico Nodes whose Kubernetes node is gone, confirmed by a live read, are removed with everything
// they held. Nodes without a Kubernetes reference are never touched.

import { releaseNode } from '../ipam/release-node.io.ts';
import type { KindWatcher, KubernetesApi, Pod } from '../kubernetes/api.ts';
import { parseKey, resourceKey } from '../model/keys.ts';
import type { NodeSpec } from '../model/node.ts';
import { parseResource } from '../model/resource.ts';
import { type Controller, controllerOf } from './controller.ts';
import { KeyQueue } from './key-queue.io.ts';
import { watchKind } from './kind-watch.io.ts';
import type { ControllerParts } from './reconcile.io.ts';

type Parts = ControllerParts & { readonly kubernetes: KubernetesApi };

export function nodeController(parts: Parts): Controller {
  const { mirror } = parts;
  const present = new Set<string>();
  let inSync = false;
  const queue = new KeyQueue({ ...parts, work: (key) => settle(parts, key, present) });
  const lookAll = (): void => {
    if (inSync && mirror.inSync) for (const key of mirror.keys()) if (isNode(key)) queue.add(key);
  };
  mirror.onChange((key) => {
    if (inSync && isNode(key)) queue.add(key);
  });
  mirror.onSnapshot(lookAll);
  const watch = watchKind(parts, 'nodes', {
    snapshot: (nodes) => {
      present.clear();
      for (const { metadata } of nodes) present.add(metadata.name);
      inSync = true;
      lookAll();
    },
    put: ({ metadata }) => void present.add(metadata.name),
    gone: ({ metadata }) => {
      present.delete(metadata.name);
      lookAll();
    },
  });
  return controllerOf(watch, () => queue.failing);
}

const isNode = (path: string): boolean => {
  const key = parseKey(path);
  return key?.kind === 'resource' && key.plural === 'nodes';
};

const ownConfigurations = (node: string): readonly string[] => [
  resourceKey('felixconfigurations', `node.${node}`),
  resourceKey('bgpconfigurations', `node.${node}`),
];

async function settle(
  { store, mirror, kubernetes, clock, log }: Parts,
  key: string,
  present: ReadonlySet<string>,
): Promise<void> {
  const stored = mirror.get(key);
  const node = stored && parseResource<'Node', NodeSpec>('Node', stored.value);
  const reference = node?.ok
    ? node.value.spec.orchRefs?.find((ref) => ref.orchestrator === 'k8s')?.nodeName
    : undefined;
  if (!stored || !node?.ok || !reference || present.has(reference)) return;
  if (await kubernetes.getNode(reference)) return;
  const living = (await podsOf(kubernetes, reference)).filter(({ spec }) => !spec.hostNetwork);
  if (living.length > 0) {
    // Their addresses are in use until Kubernetes has removed them: looked at again later.
    throw new Error(`node ${reference} is gone, but ${living.length} of its pods are still there`);
  }
  const { name } = node.value.metadata;
  const freed = await releaseNode(store, name, clock);
  // The node goes last, so that a crash before leaves the reason to go on.
  const result = await store.transaction(
    [{ key, revision: stored.revision }],
    [key, ...ownConfigurations(name)].map((gone) => ({ kind: 'delete', key: gone })),
  );
  if (result.kind === 'conflict') throw new Error(`node ${name} changed meanwhile`);
  mirror.forget(key);
  log.info({ node: name, ...freed }, 'node left the cluster: removed with what it held');
}

/** The pods that Kubernetes lists for a node now. */
function podsOf(kubernetes: KubernetesApi, node: string): Promise<readonly Pod[]> {
  const stop = new AbortController();
  return new Promise<readonly Pod[]>((resolve, reject) => {
    const watcher: KindWatcher<Pod> = {
      snapshot: resolve,
      put: () => {},
      gone: () => {},
      connection: (up, error) => {
        if (!up) reject(error ?? new Error('the API server cannot be reached'));
      },
    };
    kubernetes.watch('pods', watcher, {
      fieldSelector: `spec.nodeName=${node}`,
      signal: stop.signal,
    });
  }).finally(() => stop.abort());
}
