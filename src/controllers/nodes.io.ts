// Calico Nodes whose Kubernetes node is gone, confirmed by a live read, are removed with everything
// they held. Nodes without a Kubernetes reference are never touched.

import { releaseNode } from '../ipam/release-node.io.ts';
import type { KubernetesApi } from '../kubernetes/api.ts';
import { parseKey } from '../model/keys.ts';
import type { NodeSpec } from '../model/node.ts';
import { parseResource } from '../model/resource.ts';
import { KeyQueue } from './key-queue.io.ts';
import type { ControllerParts } from './reconcile.io.ts';

export interface NodeController {
  readonly inSync: boolean;
  readonly failing: readonly string[];
}

type Parts = ControllerParts & { readonly kubernetes: KubernetesApi };

export function nodeController(parts: Parts): NodeController {
  const { mirror, kubernetes, signal } = parts;
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
  kubernetes.watch(
    'nodes',
    {
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
    },
    { signal },
  );
  return {
    get inSync() {
      return inSync && mirror.inSync;
    },
    get failing() {
      return queue.failing;
    },
  };
}

const isNode = (path: string): boolean => {
  const key = parseKey(path);
  return key?.kind === 'resource' && key.plural === 'nodes';
};

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
  const { name } = node.value.metadata;
  const freed = await releaseNode(store, name, clock);
  const result = await store.transaction(
    [{ key, revision: stored.revision }],
    [{ kind: 'delete', key }],
  );
  if (result.kind === 'conflict') throw new Error(`node ${name} changed meanwhile`);
  mirror.forget(key);
  log.info({ node: name, ...freed }, 'node left the cluster: removed with what it held');
}
