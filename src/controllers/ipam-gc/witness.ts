// Invariant I6, judged beside the decision and not by it: what was freed had no owner at two looks that
// span the grace period, nor when it was asked once more, and a handle goes whole or not at all.
import { type Allocation, type Facts, graceOf } from './facts.ts';
import { isValid } from './valid.ts';

export interface Freed {
  readonly handle: string;
  readonly freed: readonly Allocation[];
  /** What was known when it was asked once more; undefined: it was not. */
  readonly fresh: Facts | undefined;
  readonly graceMilliseconds: number;
}

interface Record {
  /** At this look and at each one since. */
  readonly firstLook: number;
  readonly since: number;
}

export class Witness {
  private looks = 0;
  private now = 0;
  private facts: Facts | undefined;
  private ownerless: ReadonlyMap<string, Record> = new Map();

  /** A look of the collector; `now` on a monotonic clock. */
  look(facts: Facts, now: number): void {
    this.looks++;
    this.now = now;
    this.facts = facts;
    const ownerless = facts.allocations.filter((allocation) => !isValid(facts, allocation));
    this.ownerless = new Map(
      ownerless.map((allocation) => {
        const id = idOf(allocation);
        return [id, this.ownerless.get(id) ?? { firstLook: this.looks, since: now }];
      }),
    );
  }

  /** What is wrong with a release, each in a sentence. */
  released({ handle, freed, fresh, graceMilliseconds }: Freed): readonly string[] {
    const wrong = freed.flatMap((allocation) => {
      const seen = this.ownerless.get(idOf(allocation));
      const facts = this.facts;
      const grace = facts ? graceOf(facts, allocation, graceMilliseconds) : graceMilliseconds;
      if (!seen || seen.firstLook === this.looks)
        return [`I6: ${allocation.ip} of ${handle} was freed after one look`];
      const waited = this.now - seen.since;
      if (waited < grace)
        return [`I6: ${allocation.ip} of ${handle} was freed after ${waited} ms of ${grace} ms`];
      return fresh && !isValid(fresh, allocation)
        ? []
        : [`I6: ${allocation.ip} of ${handle} was freed without being asked for once more`];
    });
    const ips = new Set(freed.map(({ ip }) => ip));
    const held = this.facts?.allocations.filter((allocation) => allocation.handle === handle) ?? [];
    const left = freed.length === 0 ? [] : held.filter(({ ip }) => !ips.has(ip));
    return [...wrong, ...left.map(({ ip }) => `I6: ${ip} stayed when ${handle} was freed`)];
  }
}

const idOf = ({ ip, handle, sequenceNumber }: Allocation): string =>
  `${ip} ${handle} ${sequenceNumber}`;
