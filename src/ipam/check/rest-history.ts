// I8 as a node can see it: an address that rested at one look and is somebody's at the next, before
// its cooldown is over, was given out too early, by whomever.
import type { IpamBlock } from '../../model/ipam.ts';
import { ipAt } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';
import { handleOf } from '../block.ts';
import { type Cooldown, isCooling } from '../cooldown.ts';

interface Early {
  readonly handle: string | undefined;
  readonly text: string;
}

/** Remembers what rested at the look before. Clocks of nodes differ: `slackMilliseconds` are free. */
export class RestHistory {
  private readonly slackMilliseconds: number;
  private resting: ReadonlyMap<Ip, number> = new Map();
  private early: ReadonlyMap<Ip, Early> = new Map();

  constructor(slackMilliseconds = 5_000) {
    this.slackMilliseconds = slackMilliseconds;
  }

  /** Violations in sentences, each for as long as the address stays with whom it was given to. */
  look(blocks: readonly IpamBlock[], { now, seconds }: Cooldown): readonly string[] {
    const resting = new Map<Ip, number>();
    const early = new Map<Ip, Early>();
    for (const block of blocks) {
      for (const [ordinal, index] of block.allocations.entries()) {
        const attribute = index === null ? undefined : block.attributes[index];
        if (!attribute) continue;
        const ip = ipAt(block.cidr, ordinal);
        if (isCooling(attribute)) {
          resting.set(ip, Date.parse(attribute.releasedAt ?? '') || 0);
          continue;
        }
        const handle = handleOf(attribute);
        const known = this.early.get(ip);
        const released = this.resting.get(ip);
        if (known && known.handle === handle) early.set(ip, known);
        else if (released !== undefined && this.isTooEarly(released, { now, seconds }))
          early.set(ip, { handle, text: `I8: ${ip} rested at the look before and is ${handle}'s` });
      }
    }
    this.resting = resting;
    this.early = early;
    return [...early.values()].map(({ text }) => text);
  }

  private isTooEarly(released: number, { now, seconds }: Cooldown): boolean {
    return now.getTime() + this.slackMilliseconds < released + seconds * 1000;
  }
}
