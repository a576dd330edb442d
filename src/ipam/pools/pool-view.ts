// What is known of pools: their resources, the reservations inside them, this node's labels, and
// which blocks are taken.
import { checkIpPoolSpec, type IpPoolSpec } from '../../model/ip-pool.ts';
import { checkIpReservationSpec, type IpReservationSpec } from '../../model/ip-reservation.ts';
import type { ClusterPlural } from '../../model/keys.ts';
import type { NodeSpec } from '../../model/node.ts';
import { parseResource } from '../../model/resource.ts';
import { type Cidr, cidrFamily, containsCidr, parseCidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import { type FreeBlocks, freeBlocks } from './free-blocks.ts';
import { type Pool, readPool } from './pool.ts';
import { mergedRanges, type Range, rangeOf } from './ranges.ts';

const NONE: ReadonlySet<number> = new Set();

export class PoolView {
  /** Labels of this node's Node; undefined while there is none. */
  nodeLabels: Readonly<Record<string, string>> | undefined;
  private readonly node: string;
  private readonly pools = new Map<string, Pool>();
  private readonly reservations = new Map<string, readonly Cidr[]>();
  private readonly taken = new Set<Cidr>();
  // Worked out of the above when asked for.
  private inOrder: readonly Pool[] | undefined;
  private readonly free = new Map<string, FreeBlocks>();
  private readonly poolsOfBlocks = new Map<Cidr, Pool | undefined>();
  private readonly reservedOrdinals = new Map<Cidr, ReadonlySet<number>>();
  private readonly ranges = new Map<Family, readonly Range[]>();

  constructor(node: string) {
    this.node = node;
  }

  /** By name. */
  all(): readonly Pool[] {
    this.inOrder ??= [...this.pools.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return this.inOrder;
  }

  /** The pool that holds the block. */
  poolOf(block: Cidr): Pool | undefined {
    if (!this.poolsOfBlocks.has(block)) {
      const pool = this.all().find(({ cidr }) => containsCidr(cidr, block));
      this.poolsOfBlocks.set(block, pool);
    }
    return this.poolsOfBlocks.get(block);
  }

  /** Ordinals of a block that are reserved. */
  reservedIn(block: Cidr): ReadonlySet<number> {
    if (this.reservations.size === 0) return NONE;
    const known = this.reservedOrdinals.get(block) ?? this.findReserved(block);
    this.reservedOrdinals.set(block, known);
    return known;
  }

  freeIn(pool: Pool): FreeBlocks {
    const known = this.free.get(pool.name);
    if (known) return known;
    const made = freeBlocks(pool, this.reservedRanges(pool.family));
    for (const block of this.taken) made.change(block, 1);
    this.free.set(pool.name, made);
    return made;
  }

  /** Whether a claim may make a new block there: not when something is stored at its key. */
  setTaken(block: Cidr, taken: boolean): void {
    if (this.taken.has(block) === taken) return;
    if (taken) this.taken.add(block);
    else this.taken.delete(block);
    for (const index of this.free.values()) index.change(block, taken ? 1 : -1);
  }

  put(plural: ClusterPlural, name: string, value: string): void {
    this.remove(plural, name); // what cannot be read is as if absent
    if (plural === 'ippools') {
      const resource = parseResource<'IPPool', IpPoolSpec>('IPPool', value, checkIpPoolSpec);
      const pool = resource.ok ? readPool(resource.value) : undefined;
      if (pool) this.pools.set(name, pool);
    } else if (plural === 'ipreservations') {
      const resource = parseResource<'IPReservation', IpReservationSpec>(
        'IPReservation',
        value,
        checkIpReservationSpec,
      );
      if (resource.ok) this.reservations.set(name, cidrsOf(resource.value.spec));
    } else if (plural === 'nodes' && name === this.node) {
      const resource = parseResource<'Node', NodeSpec>('Node', value);
      this.nodeLabels = resource.ok ? (resource.value.metadata.labels ?? {}) : undefined;
    }
  }

  remove(plural: ClusterPlural, name: string): void {
    if (plural === 'ippools') this.pools.delete(name);
    else if (plural === 'ipreservations') this.reservations.delete(name);
    else if (plural === 'nodes' && name === this.node) this.nodeLabels = undefined;
    if (plural !== 'nodes') this.forget();
  }

  /** Forgets every resource of a kind, before a listing of it. */
  clear(plural: ClusterPlural): void {
    if (plural === 'ippools') this.pools.clear();
    else if (plural === 'ipreservations') this.reservations.clear();
    else if (plural === 'nodes') this.nodeLabels = undefined;
    this.forget();
  }

  private forget(): void {
    this.inOrder = undefined;
    for (const map of [this.free, this.poolsOfBlocks, this.reservedOrdinals, this.ranges])
      map.clear();
  }

  private reservedRanges(family: Family): readonly Range[] {
    const known = this.ranges.get(family);
    const ranges = known ?? mergedRanges([...this.reservations.values()].flat(), family);
    this.ranges.set(family, ranges);
    return ranges;
  }

  private findReserved(block: Cidr): ReadonlySet<number> {
    const { first: start, last: end } = rangeOf(block);
    const ordinals = new Set<number>();
    for (const { first, last } of this.reservedRanges(cidrFamily(block))) {
      for (let at = start; at <= end; at++)
        if (first <= at && at <= last) ordinals.add(Number(at - start));
    }
    return ordinals;
  }
}

const cidrsOf = ({ reservedCIDRs = [] }: IpReservationSpec): readonly Cidr[] =>
  reservedCIDRs.flatMap((text) => parseCidr(text) ?? []);
