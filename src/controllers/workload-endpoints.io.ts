// Pod labels and ports of existing endpoints follow the pods. Endpoints are made by CNI ADD and
// deleted by CNI DEL, never here.
import type { KubernetesApi, Pod } from '../kubernetes/api.ts';
import { parseResource, printResource } from '../model/resource.ts';
import type { WorkloadEndpointSpec } from '../model/workload-endpoint.ts';
import { type Controller, controllerOf } from './controller.ts';
import { KeyQueue } from './key-queue.io.ts';
import { watchKind } from './kind-watch.io.ts';
import type { ControllerParts } from './reconcile.io.ts';
import { endpointKeyOf, isEndpointOf, refreshedEndpoint } from './wanted.ts';

export function workloadEndpointController(
  parts: ControllerParts & { readonly kubernetes: KubernetesApi },
): Controller {
  const { mirror } = parts;
  const pods = new Map<string, Pod>();
  const queue = new KeyQueue({ ...parts, work: (key) => refresh(parts, key, pods.get(key)) });
  const put = (pod: Pod): void => {
    const key = endpointKeyOf(pod);
    if (!key) return;
    pods.set(key, pod);
    if (mirror.inSync) queue.add(key);
  };
  mirror.onChange((key) => {
    if (pods.has(key)) queue.add(key);
  });
  const watch = watchKind(parts, 'pods', {
    snapshot: (all) => {
      pods.clear();
      for (const pod of all) put(pod);
    },
    put,
    gone: (pod) => void pods.delete(endpointKeyOf(pod) ?? ''),
  });
  return controllerOf(watch, () => queue.failing);
}

async function refresh(
  { store, mirror, log }: ControllerParts,
  key: string,
  pod: Pod | undefined,
): Promise<void> {
  const stored = mirror.get(key);
  if (!pod || !stored) return;
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
    'WorkloadEndpoint',
    stored.value,
  );
  if (!parsed.ok || !isEndpointOf(parsed.value, pod)) return;
  const value = printResource(refreshedEndpoint(parsed.value, pod));
  if (value === printResource(parsed.value)) return;
  const result = await store.transaction(
    [{ key, revision: stored.revision }],
    [{ kind: 'put', key, value }],
  );
  if (result.kind === 'conflict') {
    const [current] = result.current;
    if (current) mirror.learn(current);
    else mirror.forget(key);
    throw new Error('another writer was first');
  }
  mirror.learn({ key, value, revision: result.revision });
  log.info({ key }, 'labels and ports refreshed');
}
