// Claiming a block: affinity and block in one transaction, so that no half-claimed state of ours can
// exist. Half-claimed states of other writers (an affinity without block, a block of ours without
// confirmed affinity) are completed by the same transaction, and blocks that lost their owner adopted.
import type { Compare, KeyValue, Write } from '../datastore/store.ts';
import { type IpamBlock, printIpam } from '../model/ipam.ts';
import { affinityKey, blockKey } from '../model/keys.ts';
import type { Cidr } from '../net/cidr.ts';
import { emptyBlock, isAbandoned, ownerOf } from './block.ts';
import type { IpamView } from './ipam-view.ts';

export interface Claim {
  readonly cidr: Cidr;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/**
 * `now` is wall-clock time: it dates the claim and starts the sequence numbers. Undefined when the
 * block is there by now and may not be claimed.
 */
export function planClaim(view: IpamView, node: string, cidr: Cidr, now: Date): Claim | undefined {
  const affinity = affinityKey(node, cidr);
  const present = view.blocks.get(cidr);
  if (present && !isClaimable(present.value, node)) return undefined;
  const block = present ? fenced(present.value, node, now) : newBlock(cidr, node, now);
  return {
    cidr,
    compares: [
      { key: affinity, revision: view.affinities.get(cidr)?.revision ?? 0n },
      { key: blockKey(cidr), revision: present?.revision ?? 0n },
    ],
    writes: [
      { kind: 'put', key: affinity, value: printIpam({ state: 'confirmed', deleted: false }) },
      { kind: 'put', key: blockKey(cidr), value: printIpam(block) },
    ],
  };
}

/** The node's own half-claimed block, or an empty one that lost its owner. */
const isClaimable = (block: IpamBlock, node: string): boolean =>
  block.affinity === ownerOf(node) || isAbandoned(block);

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

/** Takes what is stored, in the order of the claim's compares, into the view. */
export function learnClaim(
  view: IpamView,
  claim: Claim,
  current: readonly (KeyValue | undefined)[],
): void {
  for (const [i, { key, revision }] of claim.compares.entries()) {
    const item = current[i];
    if (item) view.put(item);
    else view.remove(key, revision);
  }
}
