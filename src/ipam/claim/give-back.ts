// The way back of a block: with its affinity in one transaction, as it was claimed. An empty block is
// deleted, one with addresses (borrowed ones) only loses its owner.
import type { Write } from '../../datastore/store.ts';
import { type IpamBlock, printIpam } from '../../model/ipam.ts';
import { cooldownSeconds } from '../../model/ipam-config.ts';
import { affinityKey, blockKey } from '../../model/keys.ts';
import type { Cidr } from '../../net/cidr.ts';
import { isEmpty, ownerOf } from '../block.ts';
import { collectCooled } from '../cooldown.ts';
import type { IpamView } from '../ipam-view.ts';
import { unselectedNode } from '../pools/choose-pool.ts';
import { type BlockPlan, isSettled } from './claim.ts';

/** What becomes of a block whose node gives it up; none when it is another's. */
export function ownerlessBlock(path: string, block: IpamBlock, node: string): readonly Write[] {
  if (block.affinity !== ownerOf(node)) return [];
  if (isEmpty(block)) return [{ kind: 'delete', key: path }];
  const { affinity_claim_time: _time, ...rest } = block;
  const sequenceNumber = BigInt(block.sequenceNumber) + 1n;
  const value = printIpam({ ...rest, affinity: null, sequenceNumber });
  return [{ kind: 'put', key: path, value }];
}

/**
 * What this node should give back: affinities that mean nothing, and empty blocks of pools that do
 * not select it any more. Not a block just claimed: a request that asked for its pool by name is
 * about to use it.
 */
export function givenBack(view: IpamView, node: string, now: Date): readonly BlockPlan[] {
  const stale = view.staleAffinities().map((cidr) => plan(view, node, cidr, []));
  const unselected = view.ownBlocks().flatMap(({ value }) => {
    const block = collectCooled(value, { now, seconds: cooldownSeconds(view.config) });
    const leaves = isEmpty(block) && isSettled(block, now) && isUnselected(view, node, block.cidr);
    return leaves
      ? [plan(view, node, block.cidr, ownerlessBlock(blockKey(block.cidr), block, node))]
      : [];
  });
  return [...stale, ...unselected];
}

function isUnselected(view: IpamView, node: string, cidr: Cidr): boolean {
  const pool = view.pools.poolOf(cidr);
  const { nodeLabels } = view.pools;
  return pool !== undefined && unselectedNode(pool, { node, nodeLabels }) !== undefined;
}

function plan(view: IpamView, node: string, cidr: Cidr, writes: readonly Write[]): BlockPlan {
  const affinity = affinityKey(node, cidr);
  return {
    cidr,
    compares: [
      { key: affinity, revision: view.affinities.get(cidr)?.revision ?? 0n },
      { key: blockKey(cidr), revision: view.blocks.get(cidr)?.revision ?? 0n },
    ],
    writes: [{ kind: 'delete', key: affinity }, ...writes],
  };
}
