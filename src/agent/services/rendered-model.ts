// The objects as they come, and the rules that follow from them, service by service: what no change
// has touched is not rendered again.
import type { Node, WholeObject } from '../../kubernetes/api.ts';
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import { type Family, familyOf, type Ip, parseIp } from '../../net/ip.ts';
import type { EndpointSliceObject, ServiceObject } from '../../services/render/objects.ts';
import { readService } from '../../services/render/read.ts';
import { RENDERERS, type Renderer } from '../../services/render/render.ts';
import type { RenderOptions } from '../../services/render/rules.ts';
import type { WantedTables } from '../../services/write/writer.io.ts';
import { Claims, within } from './claims.ts';
import { type FactsOfService, factsOf } from './facts.ts';
import type { WantedHealthChecks } from './health-checks.io.ts';
import type { ServiceFacts, ServiceModel } from './model.ts';
import { type Piece, together } from './pieces.ts';
import type { ServiceProxySettings } from './settings.ts';
import type { UdpServices } from './stale-flows.ts';

const ZONE = 'topology.kubernetes.io/zone';
const SERVICE_NAME = 'kubernetes.io/service-name';
const FAMILIES: readonly Family[] = [4, 6];

/** What one family's rules are put together from. */
interface Rendering {
  fixed: WantedTables | undefined;
  readonly pieces: Map<string, Piece>;
  whole: WantedTables | undefined;
}

const keyOf = ({ metadata }: WholeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

export class RenderedModel implements ServiceModel, ServiceFacts {
  private readonly node: string;
  private readonly settings: ServiceProxySettings;
  private readonly renderer: Renderer;
  private readonly ownAddresses: () => readonly Ip[];
  private readonly claims: Claims;
  /** What was told of addresses that services may not have. */
  private readonly refused = new Map<string, string>();
  private readonly onRefused: (service: string, why: string) => void;
  private readonly services = new Map<string, ServiceObject>();
  private readonly slices = new Map<string, EndpointSliceObject>();
  /** Keys of slices by key of the service that they name. */
  private readonly slicesOf = new Map<string, Set<string>>();
  private readonly facts = new Map<string, FactsOfService>();
  /** Services whose objects changed since they were rendered. */
  private readonly touched = new Set<string>();
  private readonly renderings = new Map<Family, Rendering>(
    FAMILIES.map((family) => [family, { fixed: undefined, pieces: new Map(), whole: undefined }]),
  );
  private place = { node: '', zone: '' };
  private nodeIps: readonly Ip[] = [];

  constructor(
    node: string,
    settings: ServiceProxySettings,
    ownAddresses: () => readonly Ip[] = () => [],
    onRefused: (service: string, why: string) => void = () => undefined,
  ) {
    this.node = node;
    this.settings = settings;
    this.renderer = RENDERERS[settings.mode];
    this.ownAddresses = ownAddresses;
    this.onRefused = onRefused;
    this.claims = new Claims(settings);
    this.place = { node, zone: '' };
  }

  putService(object: WholeObject): void {
    const key = keyOf(object);
    const concerned = this.claims.replace(key, this.services.get(key), object);
    this.services.set(key, object);
    for (const one of [key, ...concerned]) this.touched.add(one);
  }

  removeService(key: string): void {
    const concerned = this.claims.replace(key, this.services.get(key), undefined);
    this.services.delete(key);
    this.refused.delete(key);
    for (const one of [key, ...concerned]) this.touched.add(one);
  }

  putSlice(object: WholeObject): void {
    const key = keyOf(object);
    this.removeSlice(key);
    this.slices.set(key, object);
    const service = serviceOf(object);
    const all = this.slicesOf.get(service) ?? new Set();
    this.slicesOf.set(service, all.add(key));
    this.touched.add(service);
  }

  removeSlice(key: string): void {
    const former = this.slices.get(key);
    if (!former) return;
    this.slices.delete(key);
    const service = serviceOf(former);
    const all = this.slicesOf.get(service);
    all?.delete(key);
    if (all?.size === 0) this.slicesOf.delete(service);
    this.touched.add(service);
  }

  setNode(node: Node | undefined): void {
    const place = { node: this.node, zone: node?.metadata.labels?.[ZONE] ?? '' };
    const addresses = (node?.status?.addresses ?? []).filter(({ type }) => type === 'InternalIP');
    const ips = addresses.flatMap(({ address }) => parseIp(address) ?? []);
    if (place.zone === this.place.zone && ips.join() === this.nodeIps.join()) return;
    this.place = place;
    this.nodeIps = ips;
    for (const rendering of this.renderings.values()) rendering.fixed = undefined;
    for (const key of this.services.keys()) this.touched.add(key);
  }

  wanted(family: Family): WantedTables {
    this.renderTouched();
    const rendering = this.renderings.get(family)!;
    if (!rendering.fixed) rendering.whole = undefined;
    rendering.fixed ??= this.renderer.fixed(this.optionsOf(family));
    rendering.whole ??= together(rendering.fixed, rendering.pieces.values());
    return rendering.whole;
  }

  udp(): UdpServices {
    this.renderTouched();
    const all = [...this.facts.values()];
    return {
      addresses: new Map(all.flatMap(({ udpAddresses }) => udpAddresses)),
      nodePorts: new Map(all.flatMap(({ udpNodePorts }) => udpNodePorts)),
    };
  }

  healthChecks(): WantedHealthChecks {
    this.renderTouched();
    return new Map(
      [...this.facts.values()].flatMap(({ healthCheck }) => (healthCheck ? [healthCheck] : [])),
    );
  }

  private renderTouched(): void {
    if (this.touched.size === 0) return;
    const options = FAMILIES.map((family) => this.optionsOf(family));
    for (const key of this.touched) {
      const service = this.granted(key);
      const slices = [...(this.slicesOf.get(key) ?? [])].map((slice) => this.slices.get(slice)!);
      for (const option of options) this.renderOne(key, service, slices, option);
      const facts = service && factsOf(service, slices, this.node);
      if (facts && hasFacts(facts)) this.facts.set(key, facts);
      else this.facts.delete(key);
    }
    this.touched.clear();
  }

  private renderOne(
    key: string,
    service: ServiceObject | undefined,
    slices: readonly EndpointSliceObject[],
    options: RenderOptions,
  ): void {
    const rendering = this.renderings.get(options.family)!;
    const ports = service ? readService(options.family, service, slices, this.node) : [];
    if (ports.length === 0) {
      if (rendering.pieces.delete(key)) rendering.whole = undefined;
      return;
    }
    const parts = ports.map((port) => this.renderer.service(port, options));
    const merged = { filter: new Map<string, string[]>(), nat: new Map<string, string[]>() };
    for (const part of parts)
      for (const table of ['filter', 'nat'] as const)
        for (const [name, rules] of part[table])
          merged[table].set(name, [...(merged[table].get(name) ?? []), ...rules]);
    rendering.pieces.set(key, merged);
    rendering.whole = undefined;
  }

  /** The service as it may be served; each refusal is told once, until it is another. */
  private granted(key: string): ServiceObject | undefined {
    const object = this.services.get(key);
    if (!object) return undefined;
    const { service, refused } = this.claims.granted(key, object);
    const text = refused.join('; ');
    if (text === (this.refused.get(key) ?? '')) return service;
    this.refused.set(key, text);
    if (text !== '') this.onRefused(key, text);
    return service;
  }

  private optionsOf(family: Family): RenderOptions {
    const { settings } = this;
    const own = ({ length }: readonly Cidr[]): readonly Ip[] | undefined =>
      length === 0
        ? undefined
        : this.ownAddresses().filter(
            (ip) =>
              familyOf(ip) === family &&
              settings.nodePortAddresses.some((range) => within(range, ip)),
          );
    return {
      family,
      place: this.place,
      clusterCidr: settings.clusterCidrs.find((range) => cidrFamily(range) === family),
      masqueradeAll: settings.masqueradeAll,
      mark: `0x${(2 ** settings.masqueradeBit).toString(16)}`,
      nodePortAddresses: own(settings.nodePortAddresses),
      nodeIp: this.nodeIps.find((ip) => familyOf(ip) === family),
      inRange: within,
    };
  }
}

const serviceOf = ({ metadata }: EndpointSliceObject): string =>
  `${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;

const hasFacts = ({ udpAddresses, udpNodePorts, healthCheck }: FactsOfService): boolean =>
  udpAddresses.length + udpNodePorts.length > 0 || healthCheck !== undefined;
