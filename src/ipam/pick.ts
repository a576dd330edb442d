// Where the next address comes from: own blocks first, then a new block, then, unless affinity is
// strict, another node's block. Pure over the view and the batch's working copies.
import type { IpamConfig } from '../model/ipam.ts';
import { type Cidr, cidrOf, contains, containsCidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import { familyOf } from '../net/ip.ts';
import type { Batch } from './batch.ts';
import { freeOrdinalOf, isFull } from './block.ts';
import { choosePools, type UsablePool } from './choose-pool.ts';
import { candidateBlocks } from './claim-order.ts';
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
  /** Blocks that lost a race meanwhile. */
  readonly avoid: ReadonlySet<Cidr>;
}

// A configuration object without the key means false; no object at all means true.
const claimsBlocks = (config: IpamConfig): boolean =>
  Object.keys(config).length === 0 || config.auto_allocate_blocks === true;

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
  const limit = view.config.maxBlocksPerHost || BLOCKS_PER_NODE_MAX;
  if (own.length >= limit) {
    return {
      kind: 'exhausted',
      message: `cannot allocate new block due to per host block limit (${limit})`,
    };
  }
  const claim = claimsBlocks(view.config) ? unclaimed(view, usable, request) : undefined;
  if (claim) return { kind: 'claim', cidr: claim };
  const borrowed = view.config.strict_affinity ? undefined : borrowable(view, batch, usable);
  if (borrowed) return { kind: 'block', cidr: borrowed };
  const reasons = [
    ...usable.map((pool) => `${pool.name}: every block is claimed and full`),
    ...choice.refused,
  ];
  const strict = view.config.strict_affinity
    ? ' (strict affinity: addresses of other nodes are not borrowed)'
    : '';
  const message = `No IPs available in pools: [${usable.map((p) => p.cidr).join(' ')}]${strict}; ${reasons.join('; ')}`;
  return { kind: 'exhausted', message };
}

function noPool({ node, family, pools }: PickRequest, refused: readonly string[]): string {
  const asked = pools.length > 0 ? ` among ${pools.join(', ')}` : '';
  const reasons = refused.length > 0 ? `; ${refused.join('; ')}` : '';
  return `no configured Calico pools for node ${node} (IPv${family}${asked})${reasons}`;
}

// At most as many candidates can be taken as there are blocks.
function unclaimed(
  view: IpamView,
  usable: readonly UsablePool[],
  { node, avoid }: PickRequest,
): Cidr | undefined {
  for (const pool of usable) {
    for (const cidr of candidateBlocks(pool, node, view.blocks.size + avoid.size + 1)) {
      if (!view.blocks.has(cidr) && !avoid.has(cidr)) return cidr;
    }
  }
  return undefined;
}

function borrowable(view: IpamView, batch: Batch, usable: readonly UsablePool[]): Cidr | undefined {
  for (const cidr of [...view.blocks.keys()].sort()) {
    if (usable.some((pool) => containsCidr(pool.cidr, cidr)) && !isFull(batch.block(cidr)!))
      return cidr;
  }
  return undefined;
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
  if (!cidr) return { kind: 'claim', cidr: blockOf(pool, ip) };
  const ordinal = freeOrdinalOf(batch.block(cidr)!, ip);
  return ordinal === undefined
    ? { kind: 'refused', message: `address ${ip} is already assigned` }
    : { kind: 'block', cidr, ordinal };
}

const blockOf = (pool: UsablePool, ip: Ip): Cidr => cidrOf(ip, pool.blockSize);
