// IPAM's raw objects: blocks, affinities, handles and the configuration. Blocks are immutable
// values: a change makes a new block, so a lost compare-and-swap can never persist half a change.
import { type Json, parseJson, printJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import type { Cidr } from '../net/cidr.ts';
import { isObject } from './resource.ts';

/** Who holds an address: the handle it is released by, and facts about the owner. */
export interface AllocationAttribute {
  readonly handle_id?: string;
  readonly secondary?: Readonly<Record<string, string>>;
  /** Set while the address cools down after its release. */
  readonly releasedAt?: string;
}

/** JSON shape of a block. Unknown fields are kept. */
export interface IpamBlock {
  readonly cidr: Cidr;
  /** `host:<node>`, `virtual:<name>`, or absent when nobody owns the block. */
  readonly affinity?: string | null;
  readonly affinity_claim_time?: string;
  /** By ordinal: index into `attributes`, or null when free. */
  readonly allocations: readonly (number | null)[];
  /** Free ordinals, first in first out. */
  readonly unallocated: readonly number[];
  readonly attributes: readonly AllocationAttribute[];
  readonly sequenceNumber: number | bigint;
  readonly sequenceNumberForAllocation: Readonly<Record<string, number | bigint>>;
  readonly deleted: boolean;
}

export type AffinityState = '' | 'pending' | 'confirmed' | 'pendingDeletion';
export interface BlockAffinity {
  readonly state: AffinityState;
  readonly deleted: boolean;
}

export interface IpamHandle {
  readonly block: Readonly<Record<string, number>>;
  readonly deleted: boolean;
}

export interface IpamConfig {
  readonly strict_affinity?: boolean;
  readonly auto_allocate_blocks?: boolean;
  readonly maxBlocksPerHost?: number;
}

function parseRaw<T>(
  what: string,
  text: string,
  good: (o: { [key: string]: Json }) => boolean,
): Result<T> {
  try {
    const value = parseJson(text);
    return isObject(value) && good(value)
      ? ok(value as unknown as T)
      : fail(`${what}: unexpected shape`);
  } catch (error) {
    return fail(`${what}: ${String(error)}`);
  }
}

export const parseBlock = (text: string): Result<IpamBlock> =>
  parseRaw(
    'block',
    text,
    (o) =>
      typeof o['cidr'] === 'string' &&
      Array.isArray(o['allocations']) &&
      Array.isArray(o['unallocated']) &&
      Array.isArray(o['attributes']),
  );

/** An empty value is a legacy affinity and means confirmed. */
export const parseAffinity = (text: string): Result<BlockAffinity> =>
  text === '' ? ok({ state: '', deleted: false }) : parseRaw('affinity', text, () => true);

export const parseHandle = (text: string): Result<IpamHandle> =>
  parseRaw('handle', text, (o) => isObject(o['block'] ?? null));

export const parseIpamConfig = (text: string): Result<IpamConfig> =>
  parseRaw('ipam config', text, () => true);

export const printIpam = (value: IpamBlock | BlockAffinity | IpamHandle | IpamConfig): string =>
  printJson(value);

/** Whether the affinity makes the block its node's own: legacy ones count as confirmed. */
export const isConfirmed = (affinity: BlockAffinity): boolean =>
  (affinity.state === 'confirmed' || affinity.state === '') && !affinity.deleted;
