// Addresses that were freed and may not be given out yet: they stay in their block under an
// attribute with nothing but the time of the release.
import type { AllocationAttribute, IpamBlock } from '../model/ipam.ts';

/** The time, and how long a freed address rests. */
export interface Cooldown {
  readonly now: Date;
  readonly seconds: number;
}

export const isCooling = (attribute: AllocationAttribute): boolean =>
  typeof attribute.releasedAt === 'string';

/**
 * The block as it is now: addresses whose rest is over are free again, the longest rested first.
 * The same object when there are none; the sequence number is the writer's business.
 */
export function collectCooled(block: IpamBlock, cooldown: Cooldown): IpamBlock {
  if (!block.attributes.some(isCooling)) return block;
  const ended = new Set(
    block.attributes.flatMap((attribute, index) => (isOver(attribute, cooldown) ? [index] : [])),
  );
  if (ended.size === 0) return block;
  const freed = block.allocations.flatMap((index, ordinal) =>
    index !== null && ended.has(index) ? [{ ordinal, since: timeOf(block.attributes[index]) }] : [],
  );
  freed.sort((a, b) => a.since - b.since || a.ordinal - b.ordinal);
  const numbers = new Map(Object.entries(block.sequenceNumberForAllocation));
  for (const { ordinal } of freed) numbers.delete(String(ordinal));
  return withoutUnused({
    ...block,
    allocations: block.allocations.map((a) => (a !== null && ended.has(a) ? null : a)),
    unallocated: [...block.unallocated, ...freed.map(({ ordinal }) => ordinal)],
    sequenceNumberForAllocation: Object.fromEntries(numbers),
  });
}

const timeOf = (attribute: AllocationAttribute | undefined): number =>
  Date.parse(attribute?.releasedAt ?? '') || 0;

// A time that cannot be read must not hold an address for ever.
const isOver = (attribute: AllocationAttribute, { now, seconds }: Cooldown): boolean =>
  isCooling(attribute) && (seconds === 0 || now.getTime() - timeOf(attribute) >= seconds * 1000);

/** Without the attributes that no ordinal points at. */
export function withoutUnused(block: IpamBlock): IpamBlock {
  const used = new Set(block.allocations);
  const kept = block.attributes.flatMap((attribute, index) =>
    used.has(index) ? [{ attribute, index }] : [],
  );
  const moved = new Map(kept.map(({ index }, position) => [index, position]));
  return {
    ...block,
    allocations: block.allocations.map((a) => (a === null ? null : (moved.get(a) ?? null))),
    attributes: kept.map(({ attribute }) => attribute),
  };
}
