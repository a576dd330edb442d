// Which node answers for which prefix, from the datastore alone: a block whole, and an address outside of
// its node's blocks by itself. Pure state, fed change by change; `take` answers what is different.
import type { Change, KeyValue } from '../../datastore/store.ts';
import { isConfirmed, parseAffinity } from '../../model/ipam.ts';
import { affinityKey, type Key, parseKey } from '../../model/keys.ts';
import { type NodeSpec, nodeAddress } from '../../model/node.ts';
import { parseResource } from '../../model/resource.ts';
import {
  parseWorkloadEndpointName,
  type WorkloadEndpointSpec,
} from '../../model/workload-endpoint.ts';
import {
  type Cidr,
  cidrFamily,
  cidrOf,
  hostCidr,
  type InterfaceAddress,
  ipAt,
  networkOf,
  parseCidr,
  prefixLengthOf,
} from '../../net/cidr.ts';
import { bitsOf, type Family, type Ip, parseIp } from '../../net/ip.ts';
import type { LearnedPrefix } from '../../routes/desired.ts';
import { type OwnRoutes, ownRoutes } from '../../routes/own.ts';
import { type Claim, Claims, lastOf } from './claims.ts';
import { type Vtep, vtepOf } from './vteps.ts';

/** The parts of the datastore that it is made from. */
export type OverlayPart = 'nodes' | 'affinities' | 'workloadendpoints';

/** An endpoint, or a node with its tunnels: who holds single addresses. */
interface Holder extends Claim {
  readonly addresses: readonly Cidr[];
}

type Written = Pick<KeyValue, 'value' | 'revision'>;

interface Answer {
  readonly node: string;
  readonly hop: Ip | undefined;
}

const FAMILIES: readonly Family[] = [4, 6];

export class OverlayView {
  private readonly node: string;
  private readonly nodes = new Map<string, NodeSpec>();
  private readonly claims = new Claims();
  /** Owners by block. */
  private readonly blocks = new Map<Cidr, string>();
  /** How many blocks there are of each length. */
  private readonly lengths = new Map<number, number>();
  private readonly holders = new Map<string, Holder>();
  /** By address the keys of its holders; the one that was written last has it. */
  private readonly held = new Map<Cidr, readonly string[]>();
  private readonly told = new Map<Cidr, Answer>();
  /** The prefixes in `told`, by node. */
  private readonly toldOf = new Map<string, Set<Cidr>>();
  private readonly dirty = new Set<Cidr>();
  private readonly ownHolders = new Map<string, Holder>();
  private ownChanged = false;
  private vtepMap: ReadonlyMap<Ip, Ip> | undefined;

  constructor(node: string) {
    this.node = node;
  }

  /** Replaces a part by its listing. */
  snapshot(part: OverlayPart, items: readonly KeyValue[]): void {
    const stale = new Set(this.keysOf(part));
    for (const item of items) {
      stale.delete(item.key);
      this.put(item);
    }
    for (const key of stale) this.remove(key);
  }

  changes(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === 'put') this.put(change.item);
      else this.remove(change.key);
    }
  }

  /** Prefixes of other nodes that are answered for by somebody else than at the last call. */
  take(): readonly LearnedPrefix[] {
    const learned: LearnedPrefix[] = [];
    for (const prefix of this.dirty) {
      const node = this.nodeOf(prefix);
      const hop = node === undefined ? undefined : this.hopTo(node, cidrFamily(prefix));
      if (this.told.get(prefix)?.hop !== hop) learned.push({ prefix, nextHops: hop ? [hop] : [] });
      this.tell(prefix, node === undefined ? undefined : { node, hop });
    }
    this.dirty.clear();
    return learned;
  }

  private tell(prefix: Cidr, answer: Answer | undefined): void {
    const before = this.told.get(prefix);
    if (before) this.toldOf.get(before.node)?.delete(prefix);
    this.told.delete(prefix);
    if (!answer) return;
    this.told.set(prefix, answer);
    const prefixes = this.toldOf.get(answer.node) ?? new Set();
    this.toldOf.set(answer.node, prefixes.add(prefix));
  }

  /** What the own node answers for. */
  own(pools: readonly { readonly cidr: Cidr }[]): OwnRoutes {
    const blocks = [...this.blocks]
      .filter(([, node]) => node === this.node)
      .map(([block]) => block);
    const addresses = [...this.ownHolders.values()].flatMap((holder) => holder.addresses);
    return ownRoutes({ blocks, addresses, pools });
  }

  /** Whether what the own node answers for may be other than at the last call. */
  takeOwnChanged(): boolean {
    const { ownChanged } = this;
    this.ownChanged = false;
    return ownChanged;
  }

  /** Own addresses of a family, with the length of its subnet. */
  ownAddress(family: Family): InterfaceAddress | undefined {
    const spec = this.nodes.get(this.node);
    return spec && nodeAddress(spec, family);
  }

  /** Other nodes' VXLAN devices of a family. */
  vteps(family: Family): readonly Vtep[] {
    return [...this.nodes].flatMap(([name, spec]) =>
      name === this.node ? [] : (vtepOf(name, spec, family) ?? []),
    );
  }

  /** By node's address; the same object until a device is another. */
  get vtepsByNode(): ReadonlyMap<Ip, Ip> {
    this.vtepMap ??= new Map(
      FAMILIES.flatMap((family) => this.vteps(family).map(({ node, ip }) => [node, ip] as const)),
    );
    return this.vtepMap;
  }

  private keysOf(part: OverlayPart): readonly string[] {
    if (part === 'affinities')
      return this.claims.all().map(([node, block]) => affinityKey(node, block));
    const isNode = (key: string): boolean => this.nodes.has(nameOf(key));
    return [...this.holders.keys()].filter((key) => isNode(key) === (part === 'nodes'));
  }

  private put({ key: path, value, revision }: KeyValue): void {
    const key = parseKey(path);
    if (key?.kind === 'affinity' && key.owner === 'host') this.putBlock(key, { value, revision });
    else if (key?.kind === 'resource' && key.plural === 'nodes')
      this.putNode(path, key.name, { value, revision });
    else if (key?.kind === 'namespaced' && key.plural === 'workloadendpoints')
      this.putEndpoint(path, key.name, { value, revision });
  }

  private remove(path: string): void {
    const key = parseKey(path);
    if (key?.kind === 'affinity') {
      this.setBlock(key.cidr, this.claims.set(key.cidr, key.node, undefined));
      return;
    }
    this.setHolder(path, undefined);
    if (key?.kind === 'resource' && key.plural === 'nodes') this.setNode(key.name, undefined);
  }

  private putBlock(
    { cidr, node }: Extract<Key, { kind: 'affinity' }>,
    { value, revision }: Written,
  ): void {
    const affinity = parseAffinity(value);
    const isOwner = affinity.ok && isConfirmed(affinity.value);
    this.setBlock(cidr, this.claims.set(cidr, node, isOwner ? revision : undefined));
  }

  private putNode(path: string, name: string, { value, revision }: Written): void {
    const parsed = parseResource<'Node', NodeSpec>('Node', value);
    const spec = parsed.ok ? parsed.value.spec : undefined;
    this.setNode(name, spec);
    const tunnels = [
      spec?.bgp?.ipv4IPIPTunnelAddr,
      spec?.ipv4VXLANTunnelAddr,
      spec?.ipv6VXLANTunnelAddr,
    ].flatMap((text) => parseIp(text ?? '') ?? []);
    this.setHolder(path, { node: name, revision, addresses: tunnels.map(hostCidr) });
  }

  private putEndpoint(path: string, name: string, { value, revision }: Written): void {
    const node = parseWorkloadEndpointName(name)?.node;
    const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
      'WorkloadEndpoint',
      value,
    );
    const networks = parsed.ok ? (parsed.value.spec.ipNetworks ?? []) : [];
    const addresses = networks.flatMap((text) => parseCidr(text) ?? []).filter(isSingle);
    this.setHolder(path, node === undefined ? undefined : { node, revision, addresses });
  }

  private setBlock(block: Cidr, node: string | undefined): void {
    if (this.blocks.get(block) === node) return;
    const length = prefixLengthOf(block);
    if ([node, this.blocks.get(block)].includes(this.node)) this.ownChanged = true;
    const before = Number(this.blocks.has(block));
    if (node === undefined) this.blocks.delete(block);
    else this.blocks.set(block, node);
    const count = (this.lengths.get(length) ?? 0) + Number(node !== undefined) - before;
    if (count > 0) this.lengths.set(length, count);
    else this.lengths.delete(length);
    this.dirty.add(block);
    // Its addresses may be told by themselves from now on, or no longer.
    const bits = bitsOf(cidrFamily(block)) - length;
    for (let i = 0; i < 2 ** bits; i++) {
      const address = hostCidr(ipAt(block, i));
      if (this.held.has(address)) this.dirty.add(address);
    }
  }

  private setHolder(key: string, holder: Holder | undefined): void {
    for (const address of this.holders.get(key)?.addresses ?? []) {
      const rest = (this.held.get(address) ?? []).filter((other) => other !== key);
      if (rest.length > 0) this.held.set(address, rest);
      else this.held.delete(address);
      this.dirty.add(address);
    }
    if (holder) this.holders.set(key, holder);
    else this.holders.delete(key);
    if (this.ownHolders.delete(key)) this.ownChanged = true;
    if (holder?.node === this.node) {
      this.ownHolders.set(key, holder);
      this.ownChanged = true;
    }
    for (const address of holder?.addresses ?? []) {
      this.held.set(address, [...(this.held.get(address) ?? []), key]);
      this.dirty.add(address);
    }
  }

  private setNode(name: string, spec: NodeSpec | undefined): void {
    const before = this.nodes.get(name);
    if (spec) this.nodes.set(name, spec);
    else this.nodes.delete(name);
    const textOf = (of: NodeSpec | undefined, family: Family): string =>
      JSON.stringify([of && nodeAddress(of, family), of && vtepOf(name, of, family)]);
    if (FAMILIES.every((family) => textOf(before, family) === textOf(spec, family))) return;
    this.vtepMap = undefined;
    if (name === this.node) this.ownChanged = true;
    for (const prefix of this.toldOf.get(name) ?? []) this.dirty.add(prefix);
    if (!spec) this.toldOf.delete(name);
  }

  /** Who answers for the prefix to others; the own node to nobody here. */
  private nodeOf(prefix: Cidr): string | undefined {
    const node = isSingle(prefix) ? this.holderOf(prefix) : this.blocks.get(prefix);
    return node === this.node ? undefined : node;
  }

  // An address in a block of its own node travels with the block.
  private holderOf(address: Cidr): string | undefined {
    const holders = (this.held.get(address) ?? []).map((key) => this.holders.get(key)!);
    const node = lastOf(holders)?.node;
    return node !== undefined && node === this.blockOwner(address) ? undefined : node;
  }

  private blockOwner(address: Cidr): string | undefined {
    for (const length of this.lengths.keys()) {
      if (length >= prefixLengthOf(address)) continue;
      const owner = this.blocks.get(cidrOf(networkOf(address), length));
      if (owner !== undefined) return owner;
    }
    return undefined;
  }

  private hopTo(node: string, family: Family): Ip | undefined {
    const spec = this.nodes.get(node);
    return spec && nodeAddress(spec, family)?.ip;
  }
}

const isSingle = (prefix: Cidr): boolean => prefixLengthOf(prefix) === bitsOf(cidrFamily(prefix));

function nameOf(path: string): string {
  const key = parseKey(path);
  return key?.kind === 'resource' ? key.name : '';
}
