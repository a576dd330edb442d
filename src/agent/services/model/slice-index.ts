// EndpointSlices by the service that they name.
import type { WholeObject } from '../../../kubernetes/api.ts';
import type { EndpointSliceObject } from '../../../services/render/objects.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';

export const keyOf = ({ metadata }: WholeObject): string =>
  `${metadata.namespace ?? ''}/${metadata.name}`;

const serviceOf = ({ metadata }: EndpointSliceObject): string =>
  `${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;

export class SliceIndex {
  private readonly slices = new Map<string, EndpointSliceObject>();
  /** Keys of slices by key of the service. */
  private readonly keysOf = new Map<string, Set<string>>();

  /** Answers the services that are concerned: it may have been another's. */
  put(slice: EndpointSliceObject): ReadonlySet<string> {
    const key = keyOf(slice);
    const service = serviceOf(slice);
    const concerned = new Set([...this.remove(key), service]);
    this.slices.set(key, slice);
    const keys = this.keysOf.get(service) ?? new Set();
    this.keysOf.set(service, keys.add(key));
    return concerned;
  }

  /** Answers the services that are concerned. */
  remove(key: string): readonly string[] {
    const former = this.slices.get(key);
    if (!former) return [];
    this.slices.delete(key);
    const service = serviceOf(former);
    const keys = this.keysOf.get(service);
    keys?.delete(key);
    if (keys?.size === 0) this.keysOf.delete(service);
    return [service];
  }

  of(service: string): readonly EndpointSliceObject[] {
    return [...(this.keysOf.get(service) ?? [])].map((key) => this.slices.get(key)!);
  }
}
