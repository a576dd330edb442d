// The addresses of services that this node announces, followed. Kubernetes is watched only while
// BGPConfiguration names a range.
import type { Log } from '../../base/log.io.ts';
import type { EndpointSlice, Kinds, KubernetesApi, Service } from '../../kubernetes/api.ts';
import type { BgpSettings } from '../../model/bgp-configuration.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import {
  EXCLUDE_LABEL,
  localFamilyOf,
  type ServiceRanges,
  serviceKey,
  serviceOfSlice,
  serviceRoutes,
  wantsServices,
} from '../../routes/services.ts';

export interface ServicesParts {
  readonly kubernetes: KubernetesApi | undefined;
  /** The node's name in Kubernetes. */
  readonly node: string;
  readonly log: Log;
  /** The routes may be others. */
  readonly changed: () => void;
}

interface LocalSlice {
  readonly service: string;
  readonly family: Family;
}

const NO_RANGES: ServiceRanges = {
  clusterIps: [],
  externalIps: [],
  loadBalancerIps: [],
  loadBalancerAggregation: true,
};
const NOTHING: readonly Cidr[] = [];
/** Services, slices, and the own node. */
const KINDS = 3;

export class Services {
  private readonly parts: ServicesParts;
  private ranges = NO_RANGES;
  private readonly services = new Map<string, Service>();
  /** Only those with a ready endpoint here. */
  private readonly slices = new Map<string, LocalSlice>();
  private excluded = false;
  /** Kinds that have been listed once. */
  private readonly listed = new Set<string>();
  private watching: AbortController | undefined;
  private telling = false;
  private known: readonly Cidr[] | undefined;

  constructor(parts: ServicesParts) {
    this.parts = parts;
  }

  /** What BGPConfiguration says now. */
  set(settings: BgpSettings): void {
    const ranges: ServiceRanges = {
      clusterIps: settings.serviceClusterIps,
      externalIps: settings.serviceExternalIps,
      loadBalancerIps: settings.serviceLoadBalancerIps,
      loadBalancerAggregation: settings.serviceLoadBalancerAggregation,
    };
    if (JSON.stringify(ranges) === JSON.stringify(this.ranges)) return;
    this.ranges = ranges;
    this.known = undefined;
    if (wantsServices(ranges)) this.watch();
    else this.close();
  }

  /** Why nothing is announced although it should be. */
  get problems(): readonly string[] {
    if (!wantsServices(this.ranges) || this.parts.kubernetes) return [];
    return ['addresses of services are not announced: there is no Kubernetes API'];
  }

  /** Whether `routes` is the whole answer. */
  get inSync(): boolean {
    const { kubernetes } = this.parts;
    return !wantsServices(this.ranges) || !kubernetes || this.listed.size === KINDS;
  }

  /** None before everything has been listed. */
  get routes(): readonly Cidr[] {
    if (!wantsServices(this.ranges) || this.excluded || !this.inSync) return NOTHING;
    this.known ??= this.calculate();
    return this.known;
  }

  close(): void {
    this.watching?.abort();
    this.watching = undefined;
    this.services.clear();
    this.slices.clear();
    this.listed.clear();
  }

  private calculate(): readonly Cidr[] {
    const local = new Set([...this.slices.values()].map(({ service, family }) => service + family));
    return serviceRoutes({
      ranges: this.ranges,
      services: this.services.values(),
      hasLocal: (service, family) => local.has(service + family),
    });
  }

  private watch(): void {
    const { kubernetes, node } = this.parts;
    if (this.watching || !kubernetes) return;
    this.watching = new AbortController();
    const { signal } = this.watching;
    this.follow(kubernetes, 'services', signal, this.services.clear.bind(this.services), {
      put: (service) => this.services.set(serviceKey(service), service),
      gone: (service) => this.services.delete(serviceKey(service)),
    });
    this.follow(kubernetes, 'endpointslices', signal, this.slices.clear.bind(this.slices), {
      put: (slice) => this.putSlice(slice),
      gone: (slice) => this.slices.delete(sliceKey(slice)),
    });
    const label = (labels: Readonly<Record<string, string>> = {}): void => {
      this.excluded = labels[EXCLUDE_LABEL] !== undefined;
    };
    this.follow(kubernetes, 'nodes', signal, () => label(), {
      put: (one) => label(one.metadata.labels),
      gone: () => label(),
      fieldSelector: `metadata.name=${node}`,
    });
  }

  private follow<K extends keyof Kinds>(
    kubernetes: KubernetesApi,
    kind: K,
    signal: AbortSignal,
    clear: () => void,
    ways: {
      readonly put: (item: Kinds[K]) => void;
      readonly gone: (item: Kinds[K]) => void;
      readonly fieldSelector?: string;
    },
  ): void {
    const { put, gone, fieldSelector } = ways;
    const and = (work: (item: Kinds[K]) => void) => (item: Kinds[K]) => {
      work(item);
      this.tellSoon();
    };
    const watcher = {
      snapshot: (items: readonly Kinds[K][]) => {
        clear();
        for (const item of items) put(item);
        this.listed.add(kind);
        this.tellSoon();
      },
      put: and(put),
      gone: and(gone),
      connection: (up: boolean, error?: Error) => {
        if (!up) this.parts.log.warn({ kind, cause: error?.message }, 'services are not followed');
      },
    };
    kubernetes.watch(kind, watcher, { ...(fieldSelector ? { fieldSelector } : {}), signal });
  }

  private putSlice(slice: EndpointSlice): void {
    const service = serviceOfSlice(slice);
    const family = localFamilyOf(slice, this.parts.node);
    if (service && family) this.slices.set(sliceKey(slice), { service, family });
    else this.slices.delete(sliceKey(slice));
  }

  // What arrives together is told once.
  private tellSoon(): void {
    this.known = undefined;
    if (this.telling) return;
    this.telling = true;
    setImmediate(() => {
      this.telling = false;
      if (this.watching) this.parts.changed();
    });
  }
}

const sliceKey = ({ metadata }: EndpointSlice): string =>
  `${metadata.namespace ?? 'default'}/${metadata.name}`;
