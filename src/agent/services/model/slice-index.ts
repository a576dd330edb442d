// EndpointSlices by the service that they name.
import type { WholeObject } from '../../../kubernetes/api.ts';
import type { EndpointSliceObject } from '../../../services/render/objects.ts';
import { Grouped } from './grouped.ts';
import { SERVICE_NAME, sliceOf, sliceText } from './kept.ts';

export const keyOf = ({ metadata }: WholeObject): string =>
  `${metadata.namespace ?? ''}/${metadata.name}`;

const serviceOf = ({ metadata }: EndpointSliceObject): string =>
  `${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;

export class SliceIndex {
  private readonly slices = new Map<string, string>();
  /** Keys of slices by key of the service. */
  private readonly keys = new Grouped<string, string>();

  /** Answers the services that are concerned: it may have been another's. */
  put(slice: WholeObject): ReadonlySet<string> {
    const key = keyOf(slice);
    const text = sliceText(slice);
    if (this.slices.get(key) === text) return new Set();
    const service = serviceOf(slice);
    const concerned = new Set([...this.remove(key), service]);
    this.slices.set(key, text);
    this.keys.add(service, key);
    return concerned;
  }

  /** Answers the services that are concerned. */
  remove(key: string): readonly string[] {
    const former = this.slices.get(key);
    if (former === undefined) return [];
    this.slices.delete(key);
    const service = serviceOf(sliceOf(former));
    this.keys.remove(service, key);
    return [service];
  }

  of(service: string): readonly EndpointSliceObject[] {
    return this.keys.of(service).map((key) => sliceOf(this.slices.get(key)!));
  }
}
