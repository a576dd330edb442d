// IPAM's raw objects: blocks, affinities, handles and the configuration. Blocks are immutable
// values: a change makes a new block, so a lost compare-and-swap can never persist half a change.
import { type Json, parseJson, printable, printJson } from '../base/json.ts';
import { fail, ok, type Result } from '../base/result.ts';
import type { Cidr } from '../net/cidr.ts';
import type { IpamConfig } from './ipam-config.ts';
import { isObject } from './resource.ts';

export type { IpamConfig } from './ipam-config.ts';

/** Who holds an address: the handle it is released by, and facts about the owner. */
export interface AllocationAttribute {
  readonly handle_id?: string | null;
  readonly secondary?: Readonly<Record<string, string>>;
  /** Set while the address cools down after its release. */
  readonly releasedAt?: string;
}

/** On addresses that another main plugin asked for: its type. */
export const MAIN_PLUGIN = 'calico-kit.io/main-plugin';

/** JSON shape of a block. Unknown fields are kept. */
export interface IpamBlock {
  readonly cidr: Cidr;
  /** `host:<node>`, `virtual:<name>`, or absent when nobody owns the block. */
  readonly affinity?: string | null;
  readonly affinity_claim_time?: string | null;
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

/** What older writers spelled otherwise or left out is read as what it means today. */
export function parseBlock(text: string): Result<IpamBlock> {
  const parsed = parseRaw<StoredBlock>('block', text, isBlock);
  return parsed.ok ? ok(today(parsed.value)) : parsed;
}

const isBlock = (o: { [key: string]: Json }): boolean =>
  typeof o['cidr'] === 'string' &&
  Array.isArray(o['allocations']) &&
  Array.isArray(o['unallocated'] ?? []) &&
  Array.isArray(o['attributes'] ?? []);

/** A block as stored: the fields that came later may be missing. */
type StoredBlock = Pick<IpamBlock, 'cidr' | 'allocations'> &
  Partial<{ readonly [K in keyof IpamBlock]: IpamBlock[K] | null }> & {
    /** The owner's bare name, before there was `affinity`. */
    readonly hostAffinity?: string | null;
  };

function today({ hostAffinity, ...block }: StoredBlock): IpamBlock {
  const owner = block.affinity || hostAffinity;
  return {
    ...block,
    ...(owner && { affinity: owner.includes(':') ? owner : `host:${owner}` }),
    unallocated: block.unallocated ?? [],
    attributes: block.attributes ?? [],
    sequenceNumber: block.sequenceNumber ?? 0,
    sequenceNumberForAllocation: block.sequenceNumberForAllocation ?? {},
    deleted: block.deleted ?? false,
  };
}

/** An empty value is a legacy affinity and means confirmed. */
export const parseAffinity = (text: string): Result<BlockAffinity> =>
  text === '' ? ok({ state: '', deleted: false }) : parseRaw('affinity', text, () => true);

export const parseHandle = (text: string): Result<IpamHandle> =>
  parseRaw('handle', text, (o) => isObject(o['block'] ?? null));

export const parseIpamConfig = (text: string): Result<IpamConfig> =>
  parseRaw('ipam config', text, () => true);

export const printIpam = (value: IpamBlock | BlockAffinity | IpamHandle | IpamConfig): string =>
  printJson('allocations' in value ? withPrintableNumbers(value) : value);

// A block is printed with every address: its few long integers are made printable first.
function withPrintableNumbers(block: IpamBlock): object {
  const numbers = Object.entries(block.sequenceNumberForAllocation ?? {});
  return {
    ...block,
    sequenceNumber: printable(block.sequenceNumber),
    sequenceNumberForAllocation: Object.fromEntries(
      numbers.map(([ordinal, number]) => [ordinal, printable(number)]),
    ),
  };
}

/** Whether the affinity makes the block its node's own: legacy ones count as confirmed. */
export const isConfirmed = (affinity: BlockAffinity): boolean =>
  (affinity.state === 'confirmed' || affinity.state === '') && !affinity.deleted;
