// Where the next address comes from: own blocks first, then a new block, then, unless affinity is
// strict, another node's block. Pure over the view and the batch's working copies.
import type { IpamConfig } from '../model/ipam.ts';
import { type Cidr, cidrOf, contains, containsCidr, prefixLengthOf } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import { familyOf } from '../net/ip.ts';
import type { Batch } from './batch.ts';
import { freeOrdinalOf, isAbandoned, isFull, ownerOf } from './block.ts';
import { choosePools, type PoolChoice, type UsablePool } from './choose-pool.ts';
import { candidateBlocks, fnv1 } from './claim-order.ts';
import type { IpamView } from './ipam-view.ts';

/** A node never owns more blocks than this unless the configuration says otherwise. */
const BLOCKS_PER_NODE_MAX = 20;

export type Pick =
  | { readonly kind: 'block'; readonly cidr: Cidr; readonly ordinal?: number }
  /** No own block has a free address: claim this one first. */
  | { readonly kind: 'claim'; readonly cidr: Cidr }
  | { readonly kind: 'exhausted'; readonly message: string }
  | { readonly kind: 'refused'; readonly message: string };

export interface PickRequest {
  readonly node: string;
  readonly family: Family;
  readonly pools: readonly string[];
  readonly selectsNode: (selector: string) => boolean;
  /** Blocks that exist but cannot be read. */
  readonly avoid: ReadonlySet<Cidr>;
}

// A configuration object without the key means false; no object at all means true.
const claimsBlocks = (config: IpamConfig | undefined): boolean =>
  config === undefined || config.auto_allocate_blocks === true;

export function pickAny(view: IpamView, batch: Batch, request: PickRequest): Pick {
  const choice = choosePools([...view.pools.values()], { ...request, asked: request.pools });
  const { usable } = choice;
  if (usable.length === 0) return { kind: 'exhausted', message: noPool(request, choice.refused) };
  const own = view
    .ownBlocks()
    .map(({ value }) => value.cidr)
    .filter((cidr) => usable.some((pool) => containsCidr(pool.cidr, cidr)));
  const free = own.find((cidr) => !isFull(batch.block(cidr)!));
  if (free) return { kind: 'block', cidr: free };
  const half = view
    .halfClaimed()
    .map(({ value }) => value)
    .find((block) => !isFull(block) && usable.some((pool) => containsCidr(pool.cidr, block.cidr)));
  if (half) return { kind: 'claim', cidr: half.cidr };
  const limit = view.config?.maxBlocksPerHost || BLOCKS_PER_NODE_MAX;
  if (own.length >= limit) {
    return {
      kind: 'exhausted',
      message: `cannot allocate new block due to per host block limit (${limit})`,
    };
  }
  const claim = claimsBlocks(view.config) ? unclaimed(view, usable, request) : undefined;
  if (claim) return { kind: 'claim', cidr: claim };
  const strict = view.config?.strict_affinity === true;
  const borrowed = strict ? undefined : borrowable(view, batch, usable, request.node);
  if (borrowed) return { kind: 'block', cidr: borrowed };
  return { kind: 'exhausted', message: allTaken(choice, strict) };
}

function allTaken({ usable, refused }: PoolChoice, strict: boolean): string {
  const reasons = [
    ...usable.map((pool) => `${pool.name}: every block is claimed and full`),
    ...refused,
  ];
  const why = strict ? ' (strict affinity: addresses of other nodes are not borrowed)' : '';
  const pools = usable.map((pool) => pool.cidr).join(' ');
  return `No IPs available in pools: [${pools}]${why}; ${reasons.join('; ')}`;
}

function noPool({ node, family, pools }: PickRequest, refused: readonly string[]): string {
  const asked = pools.length > 0 ? ` among ${pools.join(', ')}` : '';
  const reasons = refused.length > 0 ? `; ${refused.join('; ')}` : '';
  return `no configured Calico pools for node ${node} (IPv${family}${asked})${reasons}`;
}

// Blocks of a pool that was made anew with another block size: theirs are never given out again.
const otherSizes = (view: IpamView, pool: UsablePool): readonly Cidr[] =>
  [...view.blocks.keys()].filter(
    (cidr) => prefixLengthOf(cidr) !== pool.blockSize && containsCidr(pool.cidr, cidr),
  );

// A block takes one candidate; a larger one of another size takes all that it covers.
function candidatesMax(view: IpamView, pool: UsablePool, others: readonly Cidr[]): number {
  const covered = others.map((cidr) => 2 ** Math.max(pool.blockSize - prefixLengthOf(cidr), 0));
  return covered.reduce((sum, count) => sum + count, view.blocks.size);
}

function unclaimed(
  view: IpamView,
  usable: readonly UsablePool[],
  { node, avoid }: PickRequest,
): Cidr | undefined {
  for (const pool of usable) {
    const others = otherSizes(view, pool);
    const overlaps = (cidr: Cidr): boolean =>
      others.some((other) => containsCidr(other, cidr) || containsCidr(cidr, other));
    const limit = candidatesMax(view, pool, others) + avoid.size + 1;
    for (const cidr of candidateBlocks(pool, node, limit)) {
      const present = view.blocks.get(cidr);
      const open = present ? isAbandoned(present.value) : !avoid.has(cidr) && !overlaps(cidr);
      if (open) return cidr;
    }
  }
  return undefined;
}

// Nodes start at different blocks, so that they do not all fight for the same one.
function borrowable(
  view: IpamView,
  batch: Batch,
  usable: readonly UsablePool[],
  node: string,
): Cidr | undefined {
  const free = [...view.blocks.keys()]
    .filter((cidr) => usable.some((pool) => containsCidr(pool.cidr, cidr)))
    .filter((cidr) => !isFull(batch.block(cidr)!));
  return free.sort()[fnv1(node) % free.length];
}

/** One address by name: its block must exist or be claimed, and the address be free. */
export function pickRequested(view: IpamView, batch: Batch, ip: Ip, request: PickRequest): Pick {
  const { usable } = choosePools([...view.pools.values()], {
    ...request,
    family: familyOf(ip),
    asked: request.pools,
  });
  const pool = usable.find(({ cidr }) => contains(cidr, ip));
  if (!pool)
    return {
      kind: 'refused',
      message: `${ip} lies in no enabled pool that selects node ${request.node}`,
    };
  const cidr = [...view.blocks.keys()].find((block) => contains(block, ip));
  if (!cidr) return claimFor(view, pool, ip);
  const block = batch.block(cidr)!;
  if (view.config?.strict_affinity && block.affinity !== ownerOf(request.node)) {
    const owner = block.affinity ?? 'nobody';
    return { kind: 'refused', message: `${ip}: its block belongs to ${owner} (strict affinity)` };
  }
  const ordinal = freeOrdinalOf(block, ip);
  return ordinal === undefined
    ? { kind: 'refused', message: `address ${ip} is already assigned` }
    : { kind: 'block', cidr, ordinal };
}

function claimFor(view: IpamView, pool: UsablePool, ip: Ip): Pick {
  const cidr = cidrOf(ip, pool.blockSize);
  const other = [...view.blocks.keys()].find((block) => containsCidr(cidr, block));
  return other
    ? { kind: 'refused', message: `${ip}: its block ${cidr} would overlap ${other}` }
    : { kind: 'claim', cidr };
}
