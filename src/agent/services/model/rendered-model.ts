// The objects as they come, and the rules that follow from them, service by service: what no change
// has touched is not rendered again.

import type { Node, WholeObject } from '../../../kubernetes/api.ts';
import { cidrFamily } from '../../../net/cidr.ts';
import { type Family, familyOf, type Ip, parseIp } from '../../../net/ip.ts';
import { forwardOf } from '../../../services/render/ahead.ts';
import type { ServiceObject } from '../../../services/render/objects.ts';
import { readService, type ServicePort } from '../../../services/render/read.ts';
import { RENDERERS, type Renderer } from '../../../services/render/render.ts';
import type { RenderOptions } from '../../../services/render/rules.ts';
import type { WantedTables } from '../../../services/write/writer.io.ts';
import type { ServedAhead } from '../ahead.io.ts';
import type { WantedHealthChecks } from '../health-checks.io.ts';
import type { ServiceProxySettings } from '../settings.ts';
import type { UdpServices } from '../stale-flows.ts';
import { Claims, within } from './claims.ts';
import { type FactsOfService, factsOf, hasFacts } from './facts.ts';
import { serviceOf, serviceText } from './kept.ts';
import type { Machine, ServiceFacts, ServiceModel } from './model.ts';
import { isLoopback, nodePortRanges, servesLocalhost } from './node-ports.ts';
import { isSameNode, type OwnNode, ownNode, unknownNode } from './own-node.ts';
import { RenderedTables } from './rendered-tables.ts';
import { keyOf, SliceIndex } from './slice-index.ts';

const FAMILIES: readonly Family[] = [4, 6];

/** One family's rules. */
interface Rendering {
  readonly tables: RenderedTables;
  /** What there is without services has become another. */
  isStale: boolean;
  /** Where node ports are served by it. */
  nodePortAddresses: string | undefined;
  /** By service, of all its ports, those that are not ready too. */
  readonly endpointsOf: Map<string, number>;
  /** Of all services. */
  endpoints: number;
}

/** Of more changes at a time none is served ahead. */
const AHEAD_MAX = 4;
/** kube-proxy's largeClusterEndpointsThreshold. */
export const LARGE_ENDPOINTS = 1000;

export class RenderedModel implements ServiceModel, ServiceFacts {
  private node: OwnNode;
  private readonly settings: ServiceProxySettings;
  private readonly renderer: Renderer;
  private readonly machine: Machine;
  private readonly claims: Claims;
  /** What was told of addresses that services may not have. */
  private readonly refused = new Map<string, string>();
  private readonly onRefused: (service: string, why: string) => void;
  private readonly services = new Map<string, string>();
  private readonly slices = new SliceIndex();
  private readonly facts = new Map<string, FactsOfService>();
  /** Services whose objects changed since they were rendered. */
  private readonly touched = new Set<string>();
  private readonly renderings = new Map<Family, Rendering>();

  constructor(
    node: string,
    settings: ServiceProxySettings,
    machine: Machine = { addresses: () => [], liberal: false },
    onRefused: (service: string, why: string) => void = () => undefined,
  ) {
    this.node = unknownNode(node);
    this.settings = settings;
    this.renderer = RENDERERS[settings.mode];
    this.machine = machine;
    this.onRefused = onRefused;
    this.claims = new Claims(settings);
    for (const family of FAMILIES) this.renderings.set(family, this.rendering(family));
  }

  private rendering(family: Family): Rendering {
    const begun = { isStale: true, nodePortAddresses: undefined };
    const tables = new RenderedTables(this.renderer.fixed(this.optionsOf(family, false)));
    return { ...begun, tables, endpointsOf: new Map(), endpoints: 0 };
  }

  putService(object: WholeObject): void {
    const key = keyOf(object);
    const text = serviceText(object);
    if (this.services.get(key) === text) return;
    const concerned = this.claims.replace(key, this.object(key), object);
    this.services.set(key, text);
    for (const one of [key, ...concerned]) this.touched.add(one);
  }

  removeService(key: string): void {
    const concerned = this.claims.replace(key, this.object(key), undefined);
    this.services.delete(key);
    this.refused.delete(key);
    for (const one of [key, ...concerned]) this.touched.add(one);
  }

  private object(key: string): ServiceObject | undefined {
    const text = this.services.get(key);
    return text === undefined ? undefined : serviceOf(text);
  }

  putSlice(object: WholeObject): void {
    for (const service of this.slices.put(object)) this.touched.add(service);
  }

  removeSlice(key: string): void {
    for (const service of this.slices.remove(key)) this.touched.add(service);
  }

  putNode(node: Node): void {
    const { name } = node.metadata;
    const addresses = (node.status?.addresses ?? []).flatMap(
      ({ address }) => parseIp(address) ?? [],
    );
    this.nodeHas(name, addresses);
    if (name === this.node.place.node) this.setOwn(ownNode(node));
  }

  removeNode(key: string): void {
    const name = key.slice(key.indexOf('/') + 1);
    this.nodeHas(name, []);
    if (name === this.node.place.node) this.setOwn(unknownNode(name));
  }

  private nodeHas(name: string, addresses: readonly Ip[]): void {
    for (const key of this.claims.replaceNode(name, addresses)) this.touched.add(key);
  }

  private setOwn(now: OwnNode): void {
    const before = this.node;
    this.node = now;
    if (isSameNode(before, now)) return;
    for (const rendering of this.renderings.values()) rendering.isStale = true;
    for (const key of this.services.keys()) this.touched.add(key);
  }

  get isEligible(): boolean {
    return this.node.isEligible;
  }

  /** The machine has other addresses; whether that matters. */
  addressesChanged(): boolean {
    let matters = false;
    for (const [family, rendering] of this.renderings) {
      const now = this.nodePortAddresses(family)?.join();
      if (rendering.isStale || now === rendering.nodePortAddresses) continue;
      rendering.isStale = true;
      matters = true;
    }
    return matters;
  }

  ahead(family: Family): ServedAhead {
    const { touched } = this;
    if (touched.size > AHEAD_MAX) return new Map();
    const options = this.optionsOf(family);
    const forwardsOf = (key: string) =>
      this.portsOf(key, family).flatMap((port) => forwardOf(port, options) ?? []);
    return new Map([...touched].map((key) => [key, forwardsOf(key)]));
  }

  wanted(family: Family): WantedTables {
    this.renderTouched();
    const rendering = this.renderings.get(family)!;
    if (rendering.isStale) this.begin(family, rendering);
    return rendering.tables.wanted();
  }

  private begin(family: Family, rendering: Rendering): void {
    const options = this.optionsOf(family);
    rendering.tables.begin(this.renderer.fixed(options));
    rendering.nodePortAddresses = options.nodePortAddresses?.join();
    rendering.isStale = false;
  }

  isLarge(family: Family): boolean {
    return this.renderings.get(family)!.endpoints > LARGE_ENDPOINTS;
  }

  withoutLocalEndpoints(family: Family) {
    const { tables } = this.renderings.get(family)!;
    return {
      internal: tables.withoutLocal('KUBE-SERVICES'),
      external: tables.withoutLocal('KUBE-EXTERNAL-SERVICES'),
    };
  }

  udp(): UdpServices {
    const all = [...this.facts.values()];
    return {
      addresses: new Map(all.flatMap(({ udpAddresses }) => udpAddresses)),
      nodePorts: new Map(all.flatMap(({ udpNodePorts }) => udpNodePorts)),
    };
  }

  healthChecks(): WantedHealthChecks {
    return new Map(
      [...this.facts.values()].flatMap(({ healthCheck }) => (healthCheck ? [healthCheck] : [])),
    );
  }

  // First all are counted: how many endpoints there are says how the rules are written.
  private renderTouched(): void {
    if (this.touched.size === 0) return;
    const read = [...this.touched].map((key) => this.readOne(key));
    this.touched.clear();
    for (const family of FAMILIES) {
      const options = this.optionsOf(family);
      for (const one of read) this.renderOne(one.key, one.ports[family], options);
    }
  }

  private portsOf(
    key: string,
    family: Family,
    service = this.granted(key),
    slices = this.slices.of(key),
  ): readonly ServicePort[] {
    return service ? readService(family, service, slices, this.node.place.node) : [];
  }

  private readOne(key: string): Read {
    const service = this.granted(key);
    const slices = this.slices.of(key);
    const ports = {
      4: this.portsOf(key, 4, service, slices),
      6: this.portsOf(key, 6, service, slices),
    };
    for (const family of FAMILIES) {
      const rendering = this.renderings.get(family)!;
      const [before, now] = [rendering.endpointsOf.get(key) ?? 0, countEndpoints(ports[family])];
      rendering.endpoints += now - before;
      if (now > 0) rendering.endpointsOf.set(key, now);
      else rendering.endpointsOf.delete(key);
    }
    const isServed = ports[4].length + ports[6].length > 0;
    const facts = service && isServed ? factsOf(service, slices, this.node.place.node) : undefined;
    if (facts && hasFacts(facts)) this.facts.set(key, facts);
    else this.facts.delete(key);
    return { key, ports };
  }

  private renderOne(key: string, ports: readonly ServicePort[], options: RenderOptions): void {
    const parts = ports.map((port) => this.renderer.service(port, options));
    this.renderings.get(options.family)!.tables.replace(key, parts);
  }

  /** The service as it may be served; each refusal is told once, until it is another. */
  private granted(key: string): ServiceObject | undefined {
    const object = this.object(key);
    if (!object) return undefined;
    const { service, refused } = this.claims.granted(key, object);
    const text = refused.join('; ');
    if (text === (this.refused.get(key) ?? '')) return service;
    this.refused.set(key, text);
    if (text !== '') this.onRefused(key, text);
    return service;
  }

  private optionsOf(family: Family, isLarge = this.isLarge(family)): RenderOptions {
    const { settings } = this;
    return {
      family,
      place: this.node.place,
      clusterCidr: settings.clusterCidrs.find((range) => cidrFamily(range) === family),
      masqueradeAll: settings.masqueradeAll,
      mark: `0x${(2 ** settings.masqueradeBit).toString(16)}`,
      nodePortAddresses: this.nodePortAddresses(family),
      localhostNodePorts: servesLocalhost(settings, family),
      dropsInvalid: !this.machine.liberal,
      isLarge,
      nodeIp: this.node.ips.find((ip) => familyOf(ip) === family),
      inRange: within,
    };
  }

  /** Where node ports and their health checks are served; undefined: on all addresses. */
  nodePortAddresses(family: Family): readonly Ip[] | undefined {
    const ranges = nodePortRanges(this.settings, family);
    const isServed = (ip: Ip): boolean =>
      familyOf(ip) === family &&
      ranges!.some((range) => within(range, ip)) &&
      (!isLoopback(ip) || servesLocalhost(this.settings, family));
    return ranges && this.machine.addresses().filter(isServed);
  }
}

interface Read {
  readonly key: string;
  readonly ports: Readonly<Record<Family, readonly ServicePort[]>>;
}

const countEndpoints = (ports: readonly ServicePort[]): number =>
  ports.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
