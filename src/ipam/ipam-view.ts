// The warm view of IPAM in the datastore: blocks, this node's affinities, handles, pools and the
// configuration, each with the revision that a write must compare. Own commits go in directly; the
// watch confirms them.
import type { Change, KeyValue } from '../datastore/store.ts';
import { checkIpPoolSpec, type IpPool, type IpPoolSpec } from '../model/ip-pool.ts';
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
import { parseKey } from '../model/keys.ts';
import { parseResource } from '../model/resource.ts';
import type { Cidr } from '../net/cidr.ts';
import { ipAt } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { addressesOf, handleOf, ownerOf } from './block.ts';

export interface Stored<T> {
  readonly value: T;
  readonly revision: bigint;
}

export class IpamView {
  readonly blocks = new Map<Cidr, Stored<IpamBlock>>();
  readonly affinities = new Map<Cidr, Stored<BlockAffinity>>();
  readonly handles = new Map<string, Stored<IpamHandle>>();
  readonly pools = new Map<string, IpPool>();
  /** Undefined while the store holds none: that differs from an empty one. */
  config: IpamConfig | undefined;
  private readonly node: string;
  /** Keys deleted by us whose older puts may still be on their way. */
  private readonly deleted = new Map<string, bigint>();

  constructor(node: string) {
    this.node = node;
  }

  /** Blocks that are this node's: confirmed affinity and owner agree. */
  ownBlocks(): readonly Stored<IpamBlock>[] {
    return [...this.affinities].flatMap(([cidr, affinity]) => {
      const block = this.blocks.get(cidr);
      const own =
        block && isConfirmed(affinity.value) && block.value.affinity === ownerOf(this.node);
      return own ? [block] : [];
    });
  }

  /** Blocks that name this node while its affinity is missing or unconfirmed: a claim cut short. */
  halfClaimed(): readonly Stored<IpamBlock>[] {
    const owner = ownerOf(this.node);
    return [...this.blocks.values()].filter(({ value: { affinity, cidr } }) => {
      const mine = this.affinities.get(cidr);
      return affinity === owner && !(mine && isConfirmed(mine.value));
    });
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

  /** Handles with addresses that were assigned on this node. */
  localHandles(): ReadonlyMap<string, readonly Ip[]> {
    const found = new Map<string, Ip[]>();
    for (const { value: block } of this.blocks.values()) {
      for (const [ordinal, index] of block.allocations.entries()) {
        const attribute = index === null ? undefined : block.attributes[index];
        const handle = attribute && handleOf(attribute);
        if (!handle || attribute.secondary?.['node'] !== this.node) continue;
        found.set(handle, [...(found.get(handle) ?? []), ipAt(block.cidr, ordinal)]);
      }
    }
    return found;
  }

  /** Replaces what is under the prefix by the listing. */
  snapshot(prefix: string, items: readonly KeyValue[]): void {
    if (prefix.includes('/ippools/')) this.pools.clear();
    else {
      this.blocks.clear();
      this.affinities.clear();
      this.handles.clear();
      this.deleted.clear();
      this.config = undefined;
    }
    for (const item of items) this.put(item);
  }

  changes(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === 'put') this.put(change.item);
      else this.remove(change.key, change.revision);
    }
  }

  put({ key: path, value, revision }: KeyValue): void {
    const key = parseKey(path);
    if (!key || (this.deleted.get(path) ?? -1n) >= revision) return;
    if (key.kind === 'block') store(this.blocks, key.cidr, () => parseBlock(value), revision);
    else if (key.kind === 'handle') store(this.handles, key.id, () => parseHandle(value), revision);
    else if (key.kind === 'affinity' && key.owner === 'host' && key.node === this.node) {
      store(this.affinities, key.cidr, () => parseAffinity(value), revision);
    } else if (key.kind === 'ipamConfig') {
      const config = parseIpamConfig(value);
      if (config.ok) this.config = config.value;
    } else if (key.kind === 'resource' && key.plural === 'ippools') {
      const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', value, checkIpPoolSpec);
      if (pool.ok) this.pools.set(key.name, pool.value);
    }
  }

  remove(path: string, revision: bigint): void {
    const key = parseKey(path);
    if (!key) return;
    if (key.kind === 'block') forget(this.blocks, key.cidr, revision);
    else if (key.kind === 'handle') forget(this.handles, key.id, revision);
    else if (key.kind === 'affinity' && key.owner === 'host' && key.node === this.node)
      forget(this.affinities, key.cidr, revision);
    else if (key.kind === 'ipamConfig') this.config = undefined;
    else if (key.kind === 'resource') this.pools.delete(key.name);
  }

  /** Our own deletion at `revision`; older puts that the watch still delivers are ignored. */
  removed(path: string, revision: bigint): void {
    this.remove(path, revision);
    this.deleted.set(path, revision);
    if (this.deleted.size > DELETED_MAX) this.deleted.delete(this.deleted.keys().next().value!);
  }
}

/** Deletions remembered: far more than a watch ever lags. */
const DELETED_MAX = 10_000;

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false };

// An unparsable value is skipped: what was known before would be a lie. The watch's echo of an own
// commit has the revision that is known already.
function store<K, T>(
  map: Map<K, Stored<T>>,
  key: K,
  parse: () => Parsed<T>,
  revision: bigint,
): void {
  if ((map.get(key)?.revision ?? -1n) >= revision) return;
  const parsed = parse();
  if (parsed.ok) map.set(key, { value: parsed.value, revision });
  else map.delete(key);
}

function forget<K, T>(map: Map<K, Stored<T>>, key: K, revision: bigint): void {
  if ((map.get(key)?.revision ?? -1n) <= revision) map.delete(key);
}
