// Which blocks of a pool are free, kept up to date block by block: a full pool is known at once,
// and the search for a free block never asks about each taken one.
import { type Cidr, cidrFamily, cidrOf, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bitsOf, type Family, ipFromValue, valueOfIp } from '../../net/ip.ts';
import type { Pool } from './pool.ts';
import { type Range, rangeOf } from './ranges.ts';

export interface FreeBlocks {
  /** Blocks that are neither taken nor wholly reserved, as a share of all. */
  freeShare(): number;
  /** A block came (1) or went (-1). One of another size takes every candidate that it touches. */
  change(block: Cidr, by: 1 | -1): void;
  /** The first free block from a start, which the seed chooses, onward with wrap. */
  first(seed: number): Cidr | undefined;
}

/** `reserved` ascending and disjoint. */
export function freeBlocks(
  { cidr, blockSize }: Pick<Pool, 'cidr' | 'blockSize'>,
  reserved: readonly Range[],
): FreeBlocks {
  const family = cidrFamily(cidr);
  const base = valueOfIp(networkOf(cidr));
  const bits = BigInt(bitsOf(family) - blockSize);
  const count = 1n << BigInt(Math.max(blockSize - prefixLengthOf(cidr), 0));
  const grid: Grid = { base, bits, count, family, blockSize };
  const closed = reserved.flatMap((range) => wholeBlocks(grid, range) ?? []);
  return count <= COUNTED_MAX ? new Counted(grid, closed) : new Sparse(grid, closed);
}

/** Pools with more blocks are searched candidate by candidate: they are never full. */
const COUNTED_MAX = 1n << 20n;

/** The candidates of a pool, by index. */
interface Grid {
  readonly base: bigint;
  /** Host bits of a block. */
  readonly bits: bigint;
  readonly count: bigint;
  readonly family: Family;
  readonly blockSize: number;
}

const blockAt = ({ base, bits, family, blockSize }: Grid, index: bigint): Cidr =>
  cidrOf(ipFromValue(base + (index << bits), family), blockSize);

// Candidates that touch the block; undefined when it lies outside.
function touched({ base, bits, count, family }: Grid, block: Cidr): Range | undefined {
  if (cidrFamily(block) !== family) return undefined;
  const range = rangeOf(block);
  return clamped((range.first - base) >> bits, (range.last - base) >> bits, count);
}

// Candidates that lie wholly inside the range.
function wholeBlocks({ base, bits, count }: Grid, range: Range): Range | undefined {
  const size = 1n << bits;
  return clamped(
    (range.first - base + size - 1n) >> bits,
    ((range.last + 1n - base) >> bits) - 1n,
    count,
  );
}

function clamped(first: bigint, last: bigint, count: bigint): Range | undefined {
  const range = { first: first < 0n ? 0n : first, last: last >= count ? count - 1n : last };
  return range.first <= range.last ? range : undefined;
}

/** A counter for each candidate: how many blocks and reservations take it. */
class Counted implements FreeBlocks {
  private readonly grid: Grid;
  private readonly takers: Uint16Array;
  private free: number;

  constructor(grid: Grid, closed: readonly Range[]) {
    this.grid = grid;
    this.free = Number(grid.count);
    this.takers = new Uint16Array(this.free);
    for (const range of closed) this.add(range, 1);
  }

  freeShare = (): number => this.free / this.takers.length;

  change(block: Cidr, by: 1 | -1): void {
    const range = touched(this.grid, block);
    if (range) this.add(range, by);
  }

  private add({ first, last }: Range, by: 1 | -1): void {
    for (let index = Number(first); index <= Number(last); index++) {
      const before = this.takers[index]!;
      const after = before + by;
      this.takers[index] = after;
      if (before === 0) this.free--;
      else if (after === 0) this.free++;
    }
  }

  first(seed: number): Cidr | undefined {
    if (this.free === 0) return undefined;
    const onward = this.takers.indexOf(0, seed % this.takers.length);
    return blockAt(this.grid, BigInt(onward >= 0 ? onward : this.takers.indexOf(0)));
  }
}

/** Only what is taken is kept. */
class Sparse implements FreeBlocks {
  private readonly grid: Grid;
  private readonly closed: readonly Range[];
  private readonly taken = new Map<Cidr, Range>();

  constructor(grid: Grid, closed: readonly Range[]) {
    this.grid = grid;
    this.closed = closed;
  }

  freeShare = (): number => (this.first(0) ? 1 : 0);

  change(block: Cidr, by: 1 | -1): void {
    const range = touched(this.grid, block);
    if (range && by === 1) this.taken.set(block, range);
    else this.taken.delete(block);
  }

  first(seed: number): Cidr | undefined {
    const obstacles = [...this.closed, ...this.taken.values()].sort((a, b) =>
      a.first < b.first ? -1 : 1,
    );
    const start = BigInt(seed) % this.grid.count;
    const index = firstGap(obstacles, start, this.grid.count) ?? firstGap(obstacles, 0n, start);
    return index === undefined ? undefined : blockAt(this.grid, index);
  }
}

// `obstacles` ascending by their first.
function firstGap(obstacles: readonly Range[], start: bigint, end: bigint): bigint | undefined {
  let index = start;
  for (const { first, last } of obstacles) {
    if (first > index) break;
    if (last >= index) index = last + 1n;
  }
  return index < end ? index : undefined;
}
