// A block as an immutable value: assign and release give a new block, so that a lost
// compare-and-swap can never persist half a change. Rules: unallocated is first in first out, every
// write raises the sequence number, and equal handle and attributes share one entry.
import { assert } from '../base/assert.ts';
import { printJson } from '../base/json.ts';
import type { AllocationAttribute, IpamBlock } from '../model/ipam.ts';
import { type Cidr, ipAt, ordinalOf, sizeOf } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { type Cooldown, collectCooled, withoutUnused } from './cooldown.ts';

/** `host:<node>`: the form of a block's owner. */
export const ownerOf = (node: string): string => `host:${node}`;

export interface EmptyBlock {
  readonly cidr: Cidr;
  readonly owner: string;
  /** RFC 3339. */
  readonly claimedAt: string;
  /** Nanoseconds since 1970 when the block was made: never lower than a former life's. */
  readonly sequenceNumber: bigint;
}

export function emptyBlock({ cidr, owner, claimedAt, sequenceNumber }: EmptyBlock): IpamBlock {
  const size = Number(sizeOf(cidr));
  return {
    cidr,
    affinity: owner,
    affinity_claim_time: claimedAt,
    allocations: Array<null>(size).fill(null),
    unallocated: Array.from({ length: size }, (_, ordinal) => ordinal),
    attributes: [],
    sequenceNumber,
    sequenceNumberForAllocation: {},
    deleted: false,
  };
}

export const isEmpty = (block: IpamBlock): boolean =>
  block.allocations.every((index) => index === null);

/** Nobody owns it and nobody has an address in it: what a deleted node left behind. */
export const isAbandoned = (block: IpamBlock): boolean => !block.affinity && isEmpty(block);

/** The ordinal to give out next: of those not reserved, the one that has been free longest. */
export const nextFree = (block: IpamBlock, reserved: ReadonlySet<number>): number | undefined =>
  reserved.size === 0
    ? block.unallocated[0]
    : block.unallocated.find((ordinal) => !reserved.has(ordinal));

/** Assigns one free ordinal: the asked one, or the one that has been free longest. */
export function assignOne(
  block: IpamBlock,
  attribute: AllocationAttribute,
  wanted?: number,
): { readonly block: IpamBlock; readonly ordinal: number } {
  const ordinal = wanted ?? block.unallocated[0];
  assert(ordinal !== undefined && block.allocations[ordinal] === null, 'the ordinal is free');
  const text = printJson(attribute);
  const known = block.attributes.findIndex(
    (present) => present.handle_id === attribute.handle_id && printJson(present) === text,
  );
  const index = known >= 0 ? known : block.attributes.length;
  return {
    ordinal,
    block: {
      ...block,
      allocations: block.allocations.with(ordinal, index),
      unallocated: block.unallocated.filter((free) => free !== ordinal),
      attributes: known >= 0 ? block.attributes : [...block.attributes, attribute],
      sequenceNumber: BigInt(block.sequenceNumber) + 1n,
      sequenceNumberForAllocation: {
        ...block.sequenceNumberForAllocation,
        [String(ordinal)]: block.sequenceNumber,
      },
    },
  };
}

const AT_ONCE: Cooldown = { now: new Date(0), seconds: 0 };

/** Frees every ordinal of a handle; undefined when it has none here. */
export function releaseHandle(
  block: IpamBlock,
  handleId: string,
  cooldown: Cooldown = AT_ONCE,
): { readonly block: IpamBlock; readonly ordinals: readonly number[] } | undefined {
  const ordinals = ordinalsOf(block, handleId);
  return ordinals.length === 0
    ? undefined
    : { ordinals, block: releaseOrdinals(block, ordinals, cooldown) };
}

/** Frees assigned ordinals: they rest, and those whose rest is over are free. */
export function releaseOrdinals(
  block: IpamBlock,
  ordinals: readonly number[],
  cooldown: Cooldown,
): IpamBlock {
  const freed = new Set(ordinals);
  const resting = block.attributes.length;
  const marked = withoutUnused({
    ...block,
    allocations: block.allocations.map((a, ordinal) => (freed.has(ordinal) ? resting : a)),
    attributes: [...block.attributes, { releasedAt: cooldown.now.toISOString() }],
    sequenceNumber: BigInt(block.sequenceNumber) + 1n,
  });
  return collectCooled(marked, cooldown);
}

/**
 * Gives a handle's ordinals another attribute, e.g. another node or a later time; the same block when
 * it has it. A change of the time alone counts: whoever looked before must notice.
 */
export function renewHandle(block: IpamBlock, attribute: AllocationAttribute): IpamBlock {
  const text = sorted(attribute);
  const mine = (known: AllocationAttribute): boolean => handleOf(known) === attribute.handle_id;
  if (!block.attributes.some((known) => mine(known) && sorted(known) !== text)) return block;
  const numbers = ordinalsOf(block, attribute.handle_id ?? '').map((ordinal) => [
    String(ordinal),
    block.sequenceNumber,
  ]);
  return {
    ...block,
    attributes: block.attributes.map((known) => (mine(known) ? attribute : known)),
    sequenceNumber: BigInt(block.sequenceNumber) + 1n,
    // A new life: whoever decided on the former one must not free it.
    sequenceNumberForAllocation: {
      ...block.sequenceNumberForAllocation,
      ...Object.fromEntries(numbers),
    },
  };
}

// The order in which somebody else wrote the keys says nothing.
const sorted = ({ handle_id = '', secondary = {} }: AllocationAttribute): string =>
  printJson([handle_id, Object.entries(secondary).sort(([a], [b]) => (a < b ? -1 : 1))]);

/** Whether the address outlives its pod. */
export const isKept = (attribute: AllocationAttribute): boolean =>
  attribute.secondary?.['keep'] === 'true';

/** Ordinals of a handle. Old blocks hold handles with trailing text after a carriage return. */
export function ordinalsOf(block: IpamBlock, handleId: string): readonly number[] {
  const indexes = new Set(
    block.attributes.flatMap((a, i) => (handleOf(a) === handleId ? [i] : [])),
  );
  return block.allocations.flatMap((a, ordinal) => (a !== null && indexes.has(a) ? [ordinal] : []));
}

export const handleOf = (attribute: AllocationAttribute): string | undefined =>
  attribute.handle_id?.split('\r', 1)[0];

export const addressesOf = (block: IpamBlock, handleId: string): readonly Ip[] =>
  ordinalsOf(block, handleId).map((ordinal) => ipAt(block.cidr, ordinal));

/** The ordinal of a free address in the block; undefined when it is taken. */
export function freeOrdinalOf(block: IpamBlock, ip: Ip): number | undefined {
  const ordinal = ordinalOf(block.cidr, ip);
  return block.allocations[ordinal] === null ? ordinal : undefined;
}

/** What is wrong with a block's structure; empty when it is sound. */
export function structureProblems(block: IpamBlock): readonly string[] {
  const problems: string[] = [];
  const size = Number(sizeOf(block.cidr));
  if (block.allocations.length !== size)
    problems.push(`${block.allocations.length} allocations, not ${size}`);
  const free = new Set(block.unallocated);
  if (free.size !== block.unallocated.length) problems.push('an ordinal is unallocated twice');
  for (const [ordinal, index] of block.allocations.entries()) {
    if ((index === null) !== free.has(ordinal))
      problems.push(`ordinal ${ordinal} is in both lists or in none`);
    if (index !== null && !block.attributes[index])
      problems.push(`ordinal ${ordinal} has no attribute`);
  }
  for (const index of block.attributes.keys()) {
    if (!block.allocations.includes(index)) problems.push(`attribute ${index} is not referenced`);
  }
  return problems;
}
