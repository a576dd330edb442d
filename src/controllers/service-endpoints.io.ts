// Endpoints of the services that policies name, for agents and `calico-kit trace`: one watch of the
// API server for the whole cluster, and only while a policy names a service.
import type { EndpointSlice, KubernetesApi } from '../kubernetes/api.ts';
import { parseKey } from '../model/keys.ts';
import { sliceKey, storedSlice } from '../policy/kubernetes/convert-endpoint-slice.ts';
import { namedServices } from '../policy/read/named-services.ts';
import type { Controller } from './controller.ts';
import { type KindWatch, watchKind } from './kind-watch.io.ts';
import { type ControllerParts, openReconciler, type Reconciler } from './reconcile.io.ts';
import type { Wanted } from './wanted.ts';

const owns = (path: string): boolean => {
  const key = parseKey(path);
  return key?.kind === 'namespaced' && key.plural === 'kubernetesendpointslices';
};

const followed = (problem: () => string | undefined, reconciler: Reconciler): Controller => ({
  get problem() {
    return problem();
  },
  get failing() {
    return reconciler.failing;
  },
});

export function serviceEndpointsController(
  parts: ControllerParts & { readonly kubernetes: KubernetesApi },
): Controller {
  const { mirror } = parts;
  const reconciler = openReconciler(parts, owns);
  /** By key of the policy. */
  const named = new Map<string, ReadonlySet<string>>();
  const slices = new Map<string, Wanted & { readonly service: string }>();
  let watch: KindWatch | undefined;
  const isNamed = (service: string): boolean =>
    [...named.values()].some((services) => services.has(service));
  const lookAll = (): void => {
    if (named.size > 0) watch ??= follow();
    if (named.size > 0 && !watch?.inSync) return;
    reconciler.replace([...slices.values()].filter(({ service }) => isNamed(service)));
  };
  const put = (slice: EndpointSlice): void => {
    const stored = storedSlice(slice);
    const key = sliceKey(slice);
    if (!stored) {
      gone(key);
      return;
    }
    const { kind, metadata, spec } = stored;
    const service = `${metadata.namespace}/${spec.service}`;
    const wanted = { key, kind, metadata, spec, service };
    slices.set(key, wanted);
    if (isNamed(service)) reconciler.put(wanted);
    else reconciler.remove(key);
  };
  const gone = (key: string): void => {
    slices.delete(key);
    reconciler.remove(key);
  };
  const follow = (): KindWatch =>
    watchKind(parts, 'endpointslices', {
      snapshot: (all) => {
        slices.clear();
        for (const slice of all) put(slice);
        reconciler.replace([...slices.values()].filter(({ service }) => isNamed(service)));
      },
      put,
      gone: (slice) => gone(sliceKey(slice)),
    });
  mirror.onChange((key) => {
    const services = namedServices(key, mirror.get(key)?.value ?? '');
    const before = named.get(key);
    if (services.size > 0) named.set(key, services);
    else named.delete(key);
    if (mirror.inSync && (before ?? services).size + services.size > 0) lookAll();
  });
  mirror.onSnapshot(lookAll);
  return followed(() => watch?.problem, reconciler);
}
