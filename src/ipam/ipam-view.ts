// The warm view of IPAM in the datastore: blocks, this node's affinities, handles, pools and the
// configuration, each with the revision that a write must compare. Own commits go in directly; the
// watch confirms them.
import { ok, type Result } from '../base/result.ts';
import type { Change, KeyValue } from '../datastore/store.ts';
import {
  type BlockAffinity,
  type IpamBlock,
  type IpamConfig,
  type IpamHandle,
  isConfirmed,
  parseAffinity,
  parseBlock,
  parseHandle,
  parseIpamConfig,
} from '../model/ipam.ts';
import { type ClusterPlural, IPAM, parseKey, resourceKey, resourcePrefix } from '../model/keys.ts';
import type { Cidr } from '../net/cidr.ts';
import { ipAt } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { addressesOf, handleOf, isKept, ownerOf } from './block.ts';
import { BlockIndex } from './block-index.ts';
import { PoolView } from './pools/pool-view.ts';

export interface Stored<T> {
  readonly value: T;
  readonly revision: bigint;
}

/** A block or handle with the text that stores it. */
export interface Sent {
  readonly text: string;
  readonly value: IpamBlock | IpamHandle;
}

export class IpamView {
  readonly blocks: BlockIndex;
  readonly affinities = new Map<Cidr, Stored<BlockAffinity>>();
  readonly handles = new Map<string, Stored<IpamHandle>>();
  readonly pools: PoolView;
  /** Undefined while the store holds none: that differs from an empty one. */
  config: IpamConfig | undefined;
  /** Keys of blocks that hold something else. */
  readonly unreadable = new Set<Cidr>();
  /** What is on its way to the store, by key: its echo need not be parsed. */
  sent: ReadonlyMap<string, Sent> = new Map();
  /** What must be followed, each with the kind of resource that it holds. */
  readonly prefixes: ReadonlyMap<string, ClusterPlural | undefined>;
  private readonly node: string;
  /** Keys deleted by us, oldest first, whose older puts may still be on their way. */
  private readonly deleted = new Map<string, bigint>();
  /** Up to where the watch has told everything under IPAM. */
  private told = -1n;

  constructor(node: string) {
    this.node = node;
    this.pools = new PoolView(node);
    this.blocks = new BlockIndex(node, (cidr, taken) => this.pools.setTaken(cidr, taken));
    this.prefixes = new Map<string, ClusterPlural | undefined>([
      [IPAM, undefined],
      [resourcePrefix('ippools'), 'ippools'],
      [resourcePrefix('ipreservations'), 'ipreservations'],
      [resourceKey('nodes', node), 'nodes'],
    ]);
  }

  /** Blocks that are this node's: confirmed affinity and owner agree. */
  ownBlocks(): readonly Stored<IpamBlock>[] {
    return [...this.blocks.owned].flatMap((cidr) =>
      this.isConfirmed(cidr) ? (this.blocks.get(cidr) ?? []) : [],
    );
  }

  /**
   * Claims cut short, by whoever: a block that names this node without its confirmed affinity, or
   * an affinity of this node without a block.
   */
  halfClaimed(): readonly Cidr[] {
    const named = [...this.blocks.owned].filter((cidr) => !this.isConfirmed(cidr));
    const alone = [...this.affinities].flatMap(([cidr, { value }]) => {
      const present = this.blocks.has(cidr) || this.unreadable.has(cidr);
      return present || value.state === 'pendingDeletion' ? [] : [cidr];
    });
    return [...named, ...alone];
  }

  /** This node's affinities that mean nothing: the block is another's, or was to go. */
  staleAffinities(): readonly Cidr[] {
    return [...this.affinities].flatMap(([cidr, { value }]) => {
      const block = this.blocks.get(cidr);
      const stale = block
        ? block.value.affinity !== ownerOf(this.node)
        : value.state === 'pendingDeletion' && !this.unreadable.has(cidr);
      return stale ? [cidr] : [];
    });
  }

  private isConfirmed(cidr: Cidr): boolean {
    const affinity = this.affinities.get(cidr);
    return affinity !== undefined && isConfirmed(affinity.value);
  }

  /** Blocks that a handle names, whether or not they are known. */
  blockNamesOf(handleId: string): readonly Cidr[] {
    return Object.keys(this.handles.get(handleId)?.value.block ?? {}) as Cidr[];
  }

  /** Blocks in which a handle has addresses, by what the handle says. */
  blocksOf(handleId: string): readonly Stored<IpamBlock>[] {
    return this.blockNamesOf(handleId).flatMap((cidr) => this.blocks.get(cidr) ?? []);
  }

  addressesOf(handleId: string): readonly Ip[] {
    return this.blocksOf(handleId).flatMap(({ value }) => addressesOf(value, handleId));
  }

  /** What is written down about a handle's owner. */
  factsOf(handleId: string): Readonly<Record<string, string>> {
    const attributes = this.blocksOf(handleId).flatMap(({ value }) => value.attributes);
    return attributes.find((attribute) => handleOf(attribute) === handleId)?.secondary ?? {};
  }

  /** Handles with addresses that were assigned on this node; kept ones are their owner's for good. */
  localHandles(): ReadonlyMap<string, readonly Ip[]> {
    const found = new Map<string, Ip[]>();
    for (const cidr of this.blocks.used) {
      const block = this.blocks.get(cidr)!.value;
      for (const [ordinal, index] of block.allocations.entries()) {
        const attribute = index === null ? undefined : block.attributes[index];
        const handle = attribute && handleOf(attribute);
        if (!handle || attribute.secondary?.['node'] !== this.node || isKept(attribute)) continue;
        found.set(handle, [...(found.get(handle) ?? []), ipAt(cidr, ordinal)]);
      }
    }
    return found;
  }

  /** Addresses of this node's blocks that nobody has. */
  freeAddresses(): readonly Ip[] {
    return [...this.blocks.owned].flatMap((cidr) =>
      (this.blocks.get(cidr)?.value.allocations ?? []).flatMap((index, ordinal) =>
        index === null ? [ipAt(cidr, ordinal)] : [],
      ),
    );
  }

  /** Replaces what is under one of the prefixes by the listing. */
  snapshot(prefix: string, items: readonly KeyValue[]): void {
    const plural = this.prefixes.get(prefix);
    if (plural) this.pools.clear(plural);
    else {
      for (const cidr of [...this.blocks.keys(), ...this.unreadable]) this.blocks.delete(cidr);
      for (const all of [this.affinities, this.handles, this.deleted, this.unreadable]) all.clear();
      this.told = -1n;
      this.config = undefined;
    }
    for (const item of items) this.put(item);
  }

  /** What a watch of one of the prefixes tells: all of a revision at once, one after the other. */
  changes(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === 'put') this.put(change.item);
      else this.remove(change.key, change.revision);
      const { key, revision } = change.kind === 'put' ? change.item : change;
      if (key.startsWith(IPAM)) this.told = revision;
    }
    this.forgetDeletions();
  }

  // No put from before what the watch has told is still on its way.
  private forgetDeletions(): void {
    for (const [path, revision] of this.deleted) {
      if (revision > this.told) return;
      this.deleted.delete(path);
    }
  }

  /** Own deletions that the watch has not confirmed. */
  get unconfirmedCount(): number {
    return this.deleted.size;
  }

  put({ key: path, value, revision }: KeyValue): void {
    const key = parseKey(path);
    if (!key || (this.deleted.get(path) ?? -1n) >= revision) return;
    const sent = this.sent.get(path);
    const echo = sent?.text === value ? ok(sent.value) : undefined;
    if (key.kind === 'block') {
      const parse = () => (echo as Result<IpamBlock> | undefined) ?? parseBlock(value);
      store(this.blocks, key.cidr, parse, revision);
      this.mark(key.cidr, !this.blocks.has(key.cidr));
    } else if (key.kind === 'handle') {
      const parse = () => (echo as Result<IpamHandle> | undefined) ?? parseHandle(value);
      store(this.handles, key.id, parse, revision);
    } else if (key.kind === 'affinity' && key.owner === 'host' && key.node === this.node) {
      store(this.affinities, key.cidr, () => parseAffinity(value), revision);
    } else if (key.kind === 'ipamConfig') {
      const config = parseIpamConfig(value);
      if (config.ok) this.config = config.value;
    } else if (key.kind === 'resource') this.pools.put(key.plural, key.name, value);
  }

  remove(path: string, revision: bigint): void {
    const key = parseKey(path);
    if (!key) return;
    if (key.kind === 'block') {
      forget(this.blocks, key.cidr, revision);
      if (!this.blocks.has(key.cidr)) this.mark(key.cidr, false);
    } else if (key.kind === 'handle') forget(this.handles, key.id, revision);
    else if (key.kind === 'affinity' && key.owner === 'host' && key.node === this.node)
      forget(this.affinities, key.cidr, revision);
    else if (key.kind === 'ipamConfig') this.config = undefined;
    else if (key.kind === 'resource') this.pools.remove(key.plural, key.name);
  }

  // Nobody may make a block where something is stored that is none.
  private mark(cidr: Cidr, unreadable: boolean): void {
    if (unreadable === this.unreadable.has(cidr)) return;
    if (unreadable) this.unreadable.add(cidr);
    else this.unreadable.delete(cidr);
    if (!this.blocks.has(cidr)) this.pools.setTaken(cidr, unreadable);
  }

  /** Our own deletion at `revision`; older puts that the watch still delivers are ignored. */
  removed(path: string, revision: bigint): void {
    this.remove(path, revision);
    if (revision <= this.told) return;
    this.deleted.delete(path); // the newest last
    this.deleted.set(path, revision);
    if (this.deleted.size > DELETED_MAX) this.deleted.delete(this.deleted.keys().next().value!);
  }
}

/** Deletions remembered while the watch is behind. */
const DELETED_MAX = 10_000;

type Kept<K, T> = {
  get(key: K): Stored<T> | undefined;
  delete(key: K): unknown;
  set(key: K, stored: Stored<T>): unknown;
};

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false };

// An unparsable value is skipped: what was known before would be a lie. The watch's echo of an own
// commit has the revision that is known already.
function store<K, T>(map: Kept<K, T>, key: K, parse: () => Parsed<T>, revision: bigint): void {
  if ((map.get(key)?.revision ?? -1n) >= revision) return;
  const parsed = parse();
  if (parsed.ok) map.set(key, { value: parsed.value, revision });
  else map.delete(key);
}

function forget<K, T>(map: Kept<K, T>, key: K, revision: bigint): void {
  if ((map.get(key)?.revision ?? -1n) <= revision) map.delete(key);
}
