// Services, EndpointSlices and the own Node, by watch, told to the model.
import type { Log } from '../../base/log.io.ts';
import type { Kinds, KindWatcher, KubernetesApi, WholeObject } from '../../kubernetes/api.ts';
import type { ChangedKind } from './changes.ts';
import type { ServiceModel } from './model/model.ts';

export interface ServiceSourceOptions {
  readonly node: string;
  /** Addresses of other nodes matter too. */
  readonly allNodes: boolean;
  readonly model: ServiceModel;
  readonly kubernetes: KubernetesApi;
  readonly log: Log;
  /** The model has been told of these. */
  readonly changed: (kind: ChangedKind, objects: readonly WholeObject[]) => void;
  readonly signal: AbortSignal;
}

const CHANGED: Readonly<Record<keyof typeof WORDS, ChangedKind>> = {
  wholeservices: 'services',
  wholeendpointslices: 'endpoints',
  nodes: 'node',
};

const WORDS = { wholeservices: 'Services', wholeendpointslices: 'EndpointSlices', nodes: 'Nodes' };

export class ServiceSource {
  private readonly options: ServiceSourceOptions;
  private readonly awaited = new Set<keyof typeof WORDS>([
    'wholeservices',
    'wholeendpointslices',
    'nodes',
  ]);
  private lost: string | undefined;

  constructor(options: ServiceSourceOptions) {
    this.options = options;
    const { model, node, allNodes } = options;
    this.watch('wholeservices', model.putService.bind(model), model.removeService.bind(model));
    this.watch('wholeendpointslices', model.putSlice.bind(model), model.removeSlice.bind(model));
    const selector = allNodes ? undefined : `metadata.name=${node}`;
    this.watch('nodes', model.putNode.bind(model), model.removeNode.bind(model), selector);
  }

  /** Every list has come. */
  get isComplete(): boolean {
    return this.awaited.size === 0;
  }

  /** What has not come yet, in words. */
  get missing(): string | undefined {
    if (this.isComplete) return undefined;
    const kinds = [...this.awaited].map((kind) => WORDS[kind]).join(', ');
    return `waiting for the first list of ${kinds}${this.lost === undefined ? '' : `: ${this.lost}`}`;
  }

  // A list that comes again says by what is absent what is gone.
  private watch<K extends keyof typeof WORDS>(
    kind: K,
    put: (object: Kinds[K]) => void,
    remove: (key: string) => void,
    fieldSelector?: string,
  ): void {
    const { kubernetes, signal, changed, log } = this.options;
    let known = new Set<string>();
    const keyOf = ({ metadata }: Kinds[K]): string =>
      `${metadata.namespace ?? ''}/${metadata.name}`;
    const watcher: KindWatcher<Kinds[K]> = {
      snapshot: (items) => {
        const now = new Set(items.map(keyOf));
        for (const key of known) if (!now.has(key)) remove(key);
        for (const item of items) put(item);
        known = now;
        this.awaited.delete(kind);
        changed(CHANGED[kind], items);
      },
      put: (item) => {
        known.add(keyOf(item));
        put(item);
        changed(CHANGED[kind], [item]);
      },
      gone: (item) => {
        known.delete(keyOf(item));
        remove(keyOf(item));
        changed(CHANGED[kind], [item]);
      },
      connection: (up, error) => {
        this.lost = up ? undefined : error?.message;
        if (!up) log.warn({ kind: WORDS[kind], cause: this.lost }, 'services: the watch broke');
      },
    };
    kubernetes.watch(kind, watcher, { signal, ...(fieldSelector ? { fieldSelector } : {}) });
  }
}
