// Claiming a block: affinity and block in one transaction, so that no half-claimed state of ours can
// exist; Calico writes the same in three steps, and what is stored afterwards is equal. Half-claimed
// states of other writers (an affinity without block, a block of ours without confirmed affinity) are
// completed by the same transaction; blocks that lost their owner are adopted, and blocks that
// another node has held empty are taken over, its affinity going with them. Every such write changes
// the block, so whoever still holds the former one fails at the next compare.
import type { Compare, KeyValue, Write } from '../../datastore/store.ts';
import { type IpamBlock, printIpam } from '../../model/ipam.ts';
import { cooldownSeconds } from '../../model/ipam-config.ts';
import { affinityKey, blockKey } from '../../model/keys.ts';
import type { Cidr } from '../../net/cidr.ts';
import { emptyBlock, isAbandoned, isEmpty, ownerOf } from '../block.ts';
import { collectCooled } from '../cooldown.ts';
import type { IpamView } from '../ipam-view.ts';

/** A transaction about one block of a node. */
export interface BlockPlan {
  readonly cidr: Cidr;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

export interface Wanted {
  readonly cidr: Cidr;
  /** No block is free: an idle one of another node may be taken. */
  readonly takeOver: boolean;
}

/**
 * `now` is wall-clock time: it dates the claim and starts the sequence numbers. Undefined when the
 * block is there by now and may not be claimed.
 */
export function planClaim(
  view: IpamView,
  node: string,
  { cidr, takeOver }: Wanted,
  now: Date,
): BlockPlan | undefined {
  const affinity = affinityKey(node, cidr);
  const stored = view.blocks.get(cidr);
  const present = stored && asOf(view, stored.value, now);
  if (present && !isClaimable(present, node) && !(takeOver && isIdle(present, now)))
    return undefined;
  const block = present ? fenced(present, node, now) : newBlock(cidr, node, now);
  const former = present && nodeOf(present);
  const confirmed = printIpam({ state: 'confirmed', deleted: false });
  return {
    cidr,
    compares: [
      { key: affinity, revision: view.affinities.get(cidr)?.revision ?? 0n },
      { key: blockKey(cidr), revision: stored?.revision ?? 0n },
    ],
    writes: [
      { kind: 'put', key: affinity, value: confirmed },
      { kind: 'put', key: blockKey(cidr), value: printIpam(block) },
      // Unconditionally: with another owner in the block it means nothing any more.
      ...(former !== undefined && former !== node
        ? [{ kind: 'delete', key: affinityKey(former, cidr) } as const]
        : []),
    ],
  };
}

const asOf = (view: IpamView, block: IpamBlock, now: Date): IpamBlock =>
  collectCooled(block, { now, seconds: cooldownSeconds(view.config) });

/** The node that owns the block; undefined when it has no owner or that is no node. */
const nodeOf = ({ affinity }: IpamBlock): string | undefined =>
  affinity?.startsWith(ownerOf('')) ? affinity.slice(ownerOf('').length) : undefined;

/** The node's own half-claimed block, or an empty one that lost its owner. */
const isClaimable = (block: IpamBlock, node: string): boolean =>
  nodeOf(block) === node || isAbandoned(block);

/** So long a new owner has to take its first address. */
const IDLE_MILLISECONDS_MIN = 60_000;

/** Empty, and nobody's or held by a node long enough to lose it when there is no other. */
export const isIdle = (block: IpamBlock, now: Date): boolean =>
  isEmpty(block) && (!block.affinity || (nodeOf(block) !== undefined && isSettled(block, now)));

/** Whether the block was claimed a while ago. */
export function isSettled({ affinity_claim_time: claimed }: IpamBlock, now: Date): boolean {
  const time = Date.parse(claimed ?? '');
  return Number.isNaN(time) || now.getTime() - time >= IDLE_MILLISECONDS_MIN;
}

const newBlock = (cidr: Cidr, node: string, now: Date): IpamBlock =>
  emptyBlock({
    cidr,
    owner: ownerOf(node),
    claimedAt: now.toISOString(),
    sequenceNumber: BigInt(now.getTime()) * 1_000_000n,
  });

// Writing the block anew makes everybody fail who still holds the former one.
const fenced = (block: IpamBlock, node: string, now: Date): IpamBlock => ({
  ...block,
  affinity: ownerOf(node),
  affinity_claim_time: now.toISOString(),
  sequenceNumber: BigInt(block.sequenceNumber) + 1n,
});

/** Takes what is stored, in the order of the plan's compares, into the view. */
export function learnBlock(
  view: IpamView,
  plan: BlockPlan,
  current: readonly (KeyValue | undefined)[],
): void {
  for (const [i, { key, revision }] of plan.compares.entries()) {
    const item = current[i];
    if (item) view.put(item);
    else view.remove(key, revision);
  }
}
