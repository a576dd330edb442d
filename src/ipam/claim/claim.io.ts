// Sends what was planned about a block and takes the outcome into the view, whoever won.
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { KeyValue, Store } from '../../datastore/store.ts';
import type { IpamView } from '../ipam-view.ts';
import { type BlockPlan, learnBlock, planClaim, type Wanted } from './claim.ts';

export interface ClaimContext {
  readonly store: Store;
  readonly node: string;
  readonly clock: Clock;
  readonly log?: Log;
  readonly failpoint?: (name: string) => void | Promise<void>;
}

/**
 * When it resolves the view says whose the block is. Throws OpError when the store could not be
 * asked or the claim did not happen.
 */
export async function claimBlock(
  context: ClaimContext,
  view: IpamView,
  wanted: Wanted,
): Promise<void> {
  const { node, clock, log, failpoint } = context;
  const { cidr } = wanted;
  await failpoint?.('ipam:before-claim');
  const claim = planClaim(view, node, wanted, clock.date());
  if (!claim) return;
  await sendPlan(context, view, claim, 'claim');
  await failpoint?.('ipam:after-claim');
  if (view.unreadable.has(cidr))
    log?.error({ cidr }, 'ipam: a stored block cannot be read; it is left alone');
}

/** Throws as `claimBlock` does. */
export async function giveBack(
  context: ClaimContext,
  view: IpamView,
  plan: BlockPlan,
): Promise<void> {
  await context.failpoint?.('ipam:before-give-back');
  await sendPlan(context, view, plan, 'give back');
  await context.failpoint?.('ipam:after-give-back');
}

async function sendPlan(
  context: ClaimContext,
  view: IpamView,
  plan: BlockPlan,
  what: string,
): Promise<void> {
  const { store, log, failpoint } = context;
  const { cidr, compares, writes } = plan;
  try {
    const result = await store.transaction(compares, writes);
    if (result.kind === 'conflict') return learnBlock(view, plan, result.current);
    log?.info({ cidr }, `block: ${what}`);
    learnCommit(view, plan, result.revision);
  } catch (cause) {
    log?.warn({ cidr, cause: messageOf(cause) }, `block: ${what}: reply lost, reading back`);
    await failpoint?.('ipam:before-read-back');
    const current = await Promise.all(compares.map(({ key }) => store.get(key)));
    const untouched = compares.every(
      ({ revision }, i) => (current[i]?.revision ?? 0n) === revision,
    );
    if (untouched) throw cause;
    learnBlock(view, plan, current);
  }
}

function learnCommit(view: IpamView, { writes }: BlockPlan, revision: bigint): void {
  for (const write of writes) {
    const item: KeyValue | undefined =
      write.kind === 'put' ? { key: write.key, value: write.value, revision } : undefined;
    if (item) view.put(item);
    else view.removed(write.key, revision);
  }
}
