// Claiming a block: affinity and block in one transaction, so that no half-claimed state of ours can
// exist. Half-claimed states of other writers (pending affinities) are completed the same way.
import type { Compare, TransactionResult, Write } from '../datastore/store.ts';
import { type IpamBlock, printIpam } from '../model/ipam.ts';
import { affinityKey, blockKey } from '../model/keys.ts';
import type { Cidr } from '../net/cidr.ts';
import { emptyBlock, ownerOf } from './block.ts';
import type { IpamView } from './ipam-view.ts';

export interface Claim {
  readonly cidr: Cidr;
  readonly node: string;
  readonly block: IpamBlock;
  readonly compares: readonly Compare[];
  readonly writes: readonly Write[];
}

/** `now` is wall-clock time: it dates the claim and starts the sequence numbers. */
export function planClaim(view: IpamView, node: string, cidr: Cidr, now: Date): Claim {
  const block = emptyBlock({
    cidr,
    owner: ownerOf(node),
    claimedAt: now.toISOString(),
    sequenceNumber: BigInt(now.getTime()) * 1_000_000n,
  });
  const affinity = affinityKey(node, cidr);
  return {
    cidr,
    node,
    block,
    compares: [
      { key: affinity, revision: view.affinities.get(cidr)?.revision ?? 0n },
      { key: blockKey(cidr), revision: 0n },
    ],
    writes: [
      { kind: 'put', key: affinity, value: printIpam({ state: 'confirmed', deleted: false }) },
      { kind: 'put', key: blockKey(cidr), value: printIpam(block) },
    ],
  };
}

/** Takes the outcome into the view; false when somebody else was first. */
export function settleClaim(view: IpamView, claim: Claim, result: TransactionResult): boolean {
  if (result.kind === 'committed') {
    for (const write of claim.writes) {
      if (write.kind === 'put')
        view.put({ key: write.key, value: write.value, revision: result.revision });
    }
    return true;
  }
  for (const item of result.current) if (item) view.put(item);
  return false;
}
