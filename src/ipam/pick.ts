// Where the next address comes from: own blocks first, then a new block, then a block that another
// node holds idle, then, unless affinity is strict, an address of another node's block. Pure over
// the view and the batch's working copies.
import type { AllowedUse } from '../model/ip-pool.ts';
import { blocksPerNodeMax, claimsBlocks } from '../model/ipam-config.ts';
import { type Cidr, cidrOf, contains, containsCidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { Batch } from './batch.ts';
import { freeOrdinalOf, nextFree, ownerOf } from './block.ts';
import { isIdle, type Wanted } from './claim/claim.ts';
import { fnv1, searchSeed } from './claim/claim-order.ts';
import type { IpamView } from './ipam-view.ts';
import { allows, askedProblem, choosePools, type PoolChoice } from './pools/choose-pool.ts';
import type { Pool } from './pools/pool.ts';
import type { AssignRequest } from './request.ts';

export type Pick =
  | { readonly kind: 'block'; readonly cidr: Cidr; readonly ordinal: number }
  /** No own block has a free address: claim this one first. */
  | ({ readonly kind: 'claim' } & Wanted)
  | { readonly kind: 'exhausted'; readonly message: string }
  | { readonly kind: 'refused'; readonly message: string };

/** The view with what the batch will have changed, for one request of a node. */
export interface Picking {
  readonly view: IpamView;
  readonly batch: Batch;
  readonly node: string;
}

export function pickAny(picking: Picking, request: Partial<AssignRequest>, family: Family): Pick {
  const { view, node } = picking;
  const about = {
    node,
    family,
    nodeLabels: view.pools.nodeLabels,
    asked: (family === 4 ? request.pools4 : request.pools6) ?? [],
    use: request.use ?? ('Workload' as const),
    namespace: request.namespace,
  };
  const wrong = askedProblem(view.pools.all(), about);
  if (wrong) return { kind: 'refused', message: wrong };
  const choice = choosePools(view.pools.all(), about);
  if (choice.usable.length > 0) return pickFrom(picking, choice);
  const what = `IPv${family}${about.asked.length > 0 ? ` among ${about.asked.join(', ')}` : ''}`;
  const lead = choice.unqualified
    ? `cannot find a qualified ippool for node ${node}`
    : `no configured Calico pools for node ${node}`;
  const reasons = [`${lead} (${what}, ${about.use})`, ...choice.refused];
  return { kind: 'exhausted', message: reasons.join('; ') };
}

function pickFrom(picking: Picking, choice: PoolChoice): Pick {
  const { view } = picking;
  const own = view
    .ownBlocks()
    .map(({ value }) => value.cidr)
    .filter((cidr) => isUsable(picking, choice, cidr));
  const free = firstFree(picking, own);
  if (free) return free;
  const half = view
    .halfClaimed()
    .find((cidr) => isUsable(picking, choice, cidr) && isOpen(picking, cidr));
  if (half) return { kind: 'claim', cidr: half, takeOver: false };
  if (!claimsBlocks(view.config))
    return exhausted(choice, 'No more free affine blocks and nodes may not claim any');
  const limit = blocksPerNodeMax(view.config);
  if (own.length >= limit) {
    return {
      kind: 'exhausted',
      message: `cannot allocate new block due to per host block limit (${limit})`,
    };
  }
  const claim = unclaimed(picking, choice);
  if (claim) return { kind: 'claim', cidr: claim, takeOver: false };
  const left = idle(picking, choice);
  if (left) return { kind: 'claim', cidr: left, takeOver: true };
  if (view.config?.strict_affinity)
    return exhausted(choice, 'No more free affine blocks and strict affinity enabled');
  return borrowable(picking, choice) ?? exhausted(choice, '');
}

function exhausted({ usable, refused }: PoolChoice, why: string): Pick {
  const pools = usable.map((pool) => pool.cidr).join(' ');
  const reasons = usable.map((pool) => `${pool.name}: every block is claimed and full or reserved`);
  const message = why || `No IPs available in pools: [${pools}]`;
  return { kind: 'exhausted', message: [message, ...(why ? [] : reasons), ...refused].join('; ') };
}

const isUsable = ({ view }: Picking, { usable }: PoolChoice, cidr: Cidr): boolean => {
  const pool = view.pools.poolOf(cidr);
  return pool !== undefined && usable.includes(pool);
};

function ordinalIn({ view, batch }: Picking, cidr: Cidr): number | undefined {
  const block = batch.block(cidr);
  return block && nextFree(block, view.pools.reservedIn(cidr));
}

// What does not exist yet has every address free.
const isOpen = (picking: Picking, cidr: Cidr): boolean =>
  !picking.view.blocks.has(cidr) || ordinalIn(picking, cidr) !== undefined;

function firstFree(picking: Picking, cidrs: Iterable<Cidr>): Pick | undefined {
  for (const cidr of cidrs) {
    const ordinal = ordinalIn(picking, cidr);
    if (ordinal !== undefined) return { kind: 'block', cidr, ordinal };
  }
  return undefined;
}

function unclaimed({ view, batch, node }: Picking, { usable }: PoolChoice): Cidr | undefined {
  for (const pool of usable) {
    const cidr = view.pools.freeIn(pool).first(searchSeed(node, pool, batch.now));
    if (cidr) return cidr;
  }
  return undefined;
}

// Nodes begin at different blocks, so that they do not all fight for the same one.
function idle(picking: Picking, choice: PoolChoice): Cidr | undefined {
  const { view, batch } = picking;
  const candidates = [...view.blocks.idle].filter((cidr) => {
    const block = batch.block(cidr);
    return (
      block && isIdle(block, batch.now) && isUsable(picking, choice, cidr) && isOpen(picking, cidr)
    );
  });
  return fromStart(picking, candidates)[0];
}

function borrowable(picking: Picking, choice: PoolChoice): Pick | undefined {
  const candidates = [...picking.view.blocks.open].filter((cidr) =>
    isUsable(picking, choice, cidr),
  );
  return firstFree(picking, fromStart(picking, candidates));
}

function fromStart({ node }: Picking, cidrs: readonly Cidr[]): readonly Cidr[] {
  const start = fnv1(node) % Math.max(cidrs.length, 1);
  return [...cidrs.slice(start), ...cidrs.slice(0, start)];
}

/** One address by name: its block must exist or be claimed, and the address be free. */
export function pickRequested(picking: Picking, ip: Ip, use: AllowedUse): Pick {
  const { view, batch, node } = picking;
  const refused = (message: string): Pick => ({ kind: 'refused', message });
  const pool = view.pools.all().find((one) => !one.spec.disabled && contains(one.cidr, ip));
  if (!pool) return refused(`${ip} lies in no enabled pool`);
  if (pool.wrong) return refused(`${ip}: pool ${pool.name}: ${pool.wrong}`);
  if (!allows(pool, use)) return refused(`${ip}: pool ${pool.name} is not for ${use}`);
  const cidr = blockWith(view, ip, pool);
  const block = batch.block(cidr);
  if (!block) return claimFor(view, cidr, ip);
  if (view.config?.strict_affinity && block.affinity !== ownerOf(node)) {
    const owner = block.affinity ?? 'nobody';
    return refused(`${ip}: its block belongs to ${owner} (strict affinity)`);
  }
  const ordinal = freeOrdinalOf(block, ip);
  return ordinal === undefined
    ? refused(`address ${ip} is already assigned`)
    : { kind: 'block', cidr, ordinal };
}

// A pool that was made anew may hold blocks of other sizes.
function blockWith({ blocks }: IpamView, ip: Ip, pool: Pool): Cidr {
  const cidr = cidrOf(ip, pool.blockSize);
  const other = blocks.has(cidr) ? cidr : [...blocks.keys()].find((block) => contains(block, ip));
  return other ?? cidr;
}

function claimFor({ blocks }: IpamView, cidr: Cidr, ip: Ip): Pick {
  const other = [...blocks.keys()].find((block) => containsCidr(cidr, block));
  return other
    ? { kind: 'refused', message: `${ip}: its block ${cidr} would overlap ${other}` }
    : { kind: 'claim', cidr, takeOver: false };
}
