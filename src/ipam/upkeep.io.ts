// What a node does for its blocks while nobody waits: it claims the next block of a pool before the
// own ones are full, and gives back what it should not have. One step at a time; what fails is tried
// again after the next transaction.
import { messageOf } from '../base/op-error.ts';
import { blocksPerNodeMax, claimsBlocks } from '../model/ipam-config.ts';
import { type Cidr, sizeOf } from '../net/cidr.ts';
import { type ClaimContext, claimBlock, giveBack } from './claim/claim.io.ts';
import { searchSeed } from './claim/claim-order.ts';
import { givenBack } from './claim/give-back.ts';
import type { IpamView } from './ipam-view.ts';
import { unselectedNode } from './pools/choose-pool.ts';
import type { Pool } from './pools/pool.ts';

/** A pool's next block is claimed when so much of the own ones is used. */
const USED_SHARE = 0.75;
/** Nobody claims ahead of need when less of the pool is left. */
const FREE_SHARE_MIN = 0.25;
/** Steps at a time: the rest is done after the next transaction. */
const STEPS_MAX = 32;

export class Upkeep {
  private readonly context: ClaimContext;
  private readonly view: IpamView;
  private readonly signal: AbortSignal;
  private running: Promise<void> | undefined;

  constructor(context: ClaimContext, view: IpamView, signal: AbortSignal) {
    this.context = context;
    this.view = view;
    this.signal = signal;
  }

  /** A transaction went through, or pools changed: is there anything to do? */
  start(): void {
    if (this.running || !this.work()) return;
    this.running = this.run()
      .catch((cause) => this.context.log?.warn({ cause: messageOf(cause) }, 'ipam: upkeep failed'))
      .finally(() => {
        this.running = undefined;
      });
  }

  private async run(): Promise<void> {
    for (let step = 0; step < STEPS_MAX; step++) await this.work()?.();
  }

  /** Waits for the step that is under way, whose claim a request may need; false: there is none. */
  async settled(): Promise<boolean> {
    if (!this.running) return false;
    await this.running;
    return true;
  }

  private work(): (() => Promise<void>) | undefined {
    const { context, view } = this;
    if (this.signal.aborted) return undefined;
    const [plan] = givenBack(view, context.node, context.clock.date());
    if (plan) return () => giveBack(context, view, plan);
    const next = this.nextBlock();
    return next && (() => this.prefetch(next));
  }

  private async prefetch(cidr: Cidr): Promise<void> {
    await this.context.failpoint?.('ipam:before-prefetch');
    await claimBlock(this.context, this.view, { cidr, takeOver: false });
  }

  private nextBlock(): Cidr | undefined {
    const { view, context } = this;
    const own = view.ownBlocks();
    if (!claimsBlocks(view.config) || own.length >= blocksPerNodeMax(view.config)) return undefined;
    const used = new Map<Pool, { total: number; free: number }>();
    for (const { value } of own) {
      const pool = view.pools.poolOf(value.cidr);
      if (!pool || !this.isForUs(pool)) continue;
      const sum = used.get(pool) ?? { total: 0, free: 0 };
      sum.total += Number(sizeOf(value.cidr));
      sum.free += value.unallocated.length;
      used.set(pool, sum);
    }
    const now = context.clock.date();
    for (const [pool, { total, free }] of used) {
      if (total - free < total * USED_SHARE) continue;
      const blocks = view.pools.freeIn(pool);
      if (blocks.freeShare() < FREE_SHARE_MIN) continue;
      const cidr = blocks.first(searchSeed(context.node, pool, now));
      if (cidr) return cidr;
    }
    return undefined;
  }

  private isForUs(pool: Pool): boolean {
    const { nodeLabels } = this.view.pools;
    const about = { node: this.context.node, nodeLabels };
    return !pool.spec.disabled && unselectedNode(pool, about) === undefined;
  }
}
