// `ipam configure` and `ipam split`: one compare-and-swap transaction each.
import type { Compare, Store, Write } from '../../datastore/store.ts';
import type { IpPool } from '../../model/ip-pool.ts';
import { type IpamConfig, printIpam } from '../../model/ipam.ts';
import { claimsBlocks, ipamConfigProblem } from '../../model/ipam-config.ts';
import { IPAM_CONFIG_KEY, resourceKey } from '../../model/keys.ts';
import { printResource } from '../../model/resource.ts';
import {
  type Cidr,
  cidr,
  cidrFamily,
  cidrOf,
  ipAt,
  parseCidr,
  prefixLengthOf,
  sizeOf,
} from '../../net/cidr.ts';
import { bitsOf } from '../../net/ip.ts';
import type { Output } from '../output.ts';
import type { World } from './world.ts';

export interface Changes {
  readonly strict_affinity?: boolean;
  readonly maxBlocksPerHost?: number;
  readonly ipCooldownSeconds?: number;
  readonly kubeVirtVMAddressPersistence?: string;
}

const SPOKEN: Readonly<Record<keyof Changes, string>> = {
  strict_affinity: 'StrictAffinity',
  maxBlocksPerHost: 'MaxBlocksPerHost',
  ipCooldownSeconds: 'IPCooldownSeconds',
  kubeVirtVMAddressPersistence: 'KubeVirtVMAddressPersistence',
};

export async function configure(
  store: Store,
  world: World,
  changes: Changes,
  dryRun = false,
): Promise<Output> {
  if (Object.keys(changes).length === 0) throw new Error('nothing to set: name a setting');
  // A stored object without the key would mean that no blocks are claimed.
  const config: IpamConfig = {
    ...world.config,
    auto_allocate_blocks: claimsBlocks(world.config),
    ...changes,
  };
  const problem = ipamConfigProblem(config);
  if (problem) throw new Error(problem);
  const stored = world.items.find(({ key }) => key === IPAM_CONFIG_KEY);
  if (!dryRun)
    await swap(
      store,
      [{ key: IPAM_CONFIG_KEY, revision: stored?.revision ?? 0n }],
      [{ kind: 'put', key: IPAM_CONFIG_KEY, value: printIpam(config) }],
    );
  const done = dryRun ? 'Would set' : 'Successfully set';
  return {
    data: dryRun ? { dryRun, ...config } : config,
    lines: Object.entries(changes).map(
      ([name, value]) => `${done} ${SPOKEN[name as keyof Changes]} to: ${value}`,
    ),
  };
}

async function swap(
  store: Store,
  compares: readonly Compare[],
  writes: readonly Write[],
): Promise<void> {
  const { kind } = await store.transaction(compares, writes);
  if (kind === 'conflict') throw new Error('somebody else changed it meanwhile: try again');
}

/** etcd takes 128 operations a transaction. */
const PARTS_MAX = 64;
const BLOCK_SIZE = { 4: 26, 6: 122 } as const;

/** The pool's parts of equal size, or why it cannot be split. */
export function partsOf(pool: IpPool, count: number): readonly Cidr[] {
  const range = cidr(pool.spec.cidr);
  const bits = Math.log2(count);
  if (!Number.isInteger(bits) || bits < 1)
    throw new Error(`a pool is split into a power of 2 (2, 4, 8, ..), not ${count}`);
  if (count > PARTS_MAX) throw new Error(`a pool is split into at most ${PARTS_MAX} at once`);
  const family = cidrFamily(range);
  const length = prefixLengthOf(range) + bits;
  const blockSize = pool.spec.blockSize || BLOCK_SIZE[family];
  if (length > blockSize)
    throw new Error(
      `${range} cannot be split into ${count}: a part must hold at least one block of /${blockSize}`,
    );
  const size = 1n << BigInt(bitsOf(family) - length);
  return Array.from({ length: Number(sizeOf(range) / size) }, (_, i) =>
    cidrOf(ipAt(range, BigInt(i) * size), length),
  );
}

/** What a new resource is given: a UUID, and the time as RFC 3339, UTC, in whole seconds. */
export type Birth = () => { readonly uid: string; readonly creationTimestamp: string };

export interface Which {
  readonly name?: string;
  readonly cidr?: string;
  readonly dryRun?: boolean;
}

/** The pool and its parts change places in one transaction: no address is without a pool. */
export async function split(
  store: Store,
  world: World,
  count: number,
  which: Which,
  birth: Birth,
): Promise<Output> {
  if (!which.name && !which.cidr)
    throw new Error(
      'No name or CIDR provided. Provide a name or CIDR to denote the IP pool to split.',
    );
  const found = world.pools.find(({ pool }) =>
    which.name
      ? pool.metadata.name === which.name
      : cidr(pool.spec.cidr) === parseCidr(which.cidr!),
  );
  if (!found) throw new Error(`Unable to find IP pool ${which.name ?? which.cidr}`);
  const { pool, stored } = found;
  const parts = partsOf(pool, count).map((part, i) => {
    const name = `split-${pool.metadata.name.slice(0, 245)}-${i}`;
    const spec = { ...pool.spec, cidr: part };
    const value = printResource({
      ...pool,
      metadata: { ...pool.metadata, name, ...birth() },
      spec,
    });
    return { name, cidr: part, key: resourceKey('ippools', name), value };
  });
  const data = parts.map((part) => ({ name: part.name, cidr: part.cidr }));
  if (which.dryRun)
    return {
      data: { dryRun: true, parts: data },
      lines: [
        `Would split IP pool ${pool.metadata.name} into ${count} smaller pools.`,
        ...data.map((part) => `Would create ${part.name} with CIDR ${part.cidr}.`),
      ],
    };
  await swap(
    store,
    [stored, ...parts.map(({ key }) => ({ key, revision: 0n }))].map(({ key, revision }) => ({
      key,
      revision,
    })),
    [
      { kind: 'delete', key: stored.key },
      ...parts.map(({ key, value }) => ({ kind: 'put', key, value }) as const),
    ],
  );
  return {
    data,
    lines: [
      `IP Pool ${pool.metadata.name} was successfully split into ${count} smaller pools.`,
      ...parts.map(({ name, cidr }) => `Created ${name} with CIDR ${cidr}.`),
    ],
  };
}
