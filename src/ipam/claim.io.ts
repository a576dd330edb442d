// Sends a claim and takes its outcome into the view, whoever won.
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.io.ts';
import { messageOf } from '../base/op-error.ts';
import type { KeyValue, Store } from '../datastore/store.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Claim, learnClaim, planClaim } from './claim.ts';
import type { IpamView } from './ipam-view.ts';

export interface ClaimContext {
  readonly store: Store;
  readonly node: string;
  readonly clock: Clock;
  readonly log?: Log;
  readonly failpoint?: (name: string) => void | Promise<void>;
}

/**
 * `settled`: the view now says whose the block is. `unreadable`: something is stored there that is
 * no block. Throws OpError when the store could not be asked or the claim did not happen.
 */
export async function claimBlock(
  context: ClaimContext,
  view: IpamView,
  cidr: Cidr,
): Promise<'settled' | 'unreadable'> {
  const { node, clock, log, failpoint } = context;
  await failpoint?.('ipam:before-claim');
  const claim = planClaim(view, node, cidr, clock.date());
  if (!claim) return 'settled';
  const current = await send(context, claim);
  await failpoint?.('ipam:after-claim');
  learnClaim(view, claim, current);
  if (!view.blocks.has(cidr) && current[1]) {
    log?.error({ key: current[1].key }, 'ipam: a stored block cannot be read; it is left alone');
    return 'unreadable';
  }
  return 'settled';
}

// What is stored at the claim's keys afterwards.
async function send(
  { store, log }: ClaimContext,
  claim: Claim,
): Promise<readonly (KeyValue | undefined)[]> {
  try {
    const result = await store.transaction(claim.compares, claim.writes);
    if (result.kind === 'conflict') return result.current;
    log?.info({ cidr: claim.cidr }, 'block claimed');
    return claim.writes.flatMap((write) =>
      write.kind === 'put'
        ? [{ key: write.key, value: write.value, revision: result.revision }]
        : [],
    );
  } catch (cause) {
    log?.warn({ cidr: claim.cidr, cause: messageOf(cause) }, 'claim: reply lost, reading back');
    const current = await Promise.all(claim.compares.map(({ key }) => store.get(key)));
    const untouched = claim.compares.every(
      ({ revision }, i) => (current[i]?.revision ?? 0n) === revision,
    );
    if (untouched) throw cause;
    return current;
  }
}
