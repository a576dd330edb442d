// Addresses without a handle, as who assigns by the API may leave them: nobody else asks for them, so
// the block alone is written, by compare-and-swap.
import type { Clock } from '../../base/clock.ts';
import type { Store } from '../../datastore/store.ts';
import { isAbandoned, releaseOrdinals } from '../../ipam/block.ts';
import { printIpam } from '../../model/ipam.ts';
import { cooldownSeconds } from '../../model/ipam-config.ts';
import { blockKey } from '../../model/keys.ts';
import { ordinalOf } from '../../net/cidr.ts';
import type { Allocation, World } from './world.ts';

/** Frees it if its block is as it was seen; whether it did. */
export async function releaseWithoutHandle(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  world: World,
  { ip, block: range }: Allocation,
): Promise<boolean> {
  const key = blockKey(range);
  const block = world.blocks.find(({ cidr }) => cidr === range);
  const revision = world.items.find((item) => item.key === key)?.revision;
  if (!block || revision === undefined) return false;
  const cooldown = { now: new Date(clock.now()), seconds: cooldownSeconds(world.config) };
  const freed = releaseOrdinals(block, [ordinalOf(range, ip)], cooldown);
  const { kind } = await store.transaction(
    [{ key, revision }],
    [isAbandoned(freed) ? { kind: 'delete', key } : { kind: 'put', key, value: printIpam(freed) }],
  );
  return kind === 'committed';
}
