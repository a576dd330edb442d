// Pools of new settings against those that are there. Blocks are cut from a pool as it was made, and
// pods have addresses of them: its prefix and the size of its blocks stay.
import { cidrFamily, parseCidr } from '../../net/cidr.ts';

export const DEFAULT_POOL = 'default-ipv4-ippool';
const BLOCK_SIZES = { 4: 26, 6: 122 } as const;

/** A pool, as settings or the datastore have it. */
export interface PoolShape {
  readonly name: string;
  readonly cidr: string;
  /** Prefix length of a block; absent: 26, for IPv6 122. */
  readonly blockSize?: number;
}

/** The pools of the settings, as the chart tells them. */
export interface PoolsOfSettings {
  readonly podSubnet: string;
  readonly blockSize: number;
  readonly pools: readonly PoolShape[];
}

/** A pool that cannot become what the settings ask for. */
export interface RefusedPool {
  readonly name: string;
  /** What the settings ask for, and what is there. */
  readonly words: string;
  /** How to come to what is wanted. */
  readonly remedy: string;
}

/** In the order of the settings; a pool that is not there yet may be anything. */
export function refusedPools(
  { podSubnet, blockSize, pools }: PoolsOfSettings,
  present: readonly PoolShape[],
): readonly RefusedPool[] {
  const wanted: readonly PoolShape[] = [
    { name: DEFAULT_POOL, cidr: podSubnet, blockSize },
    ...pools,
  ];
  return wanted.flatMap((pool): readonly RefusedPool[] => {
    const there = present.find(({ name }) => name === pool.name);
    return there && textOf(there) !== textOf(pool) ? [refusalOf(pool, there)] : [];
  });
}

function refusalOf(pool: PoolShape, there: PoolShape): RefusedPool {
  const isDefault = pool.name === DEFAULT_POOL;
  const where = isDefault ? 'networking.podSubnet' : `networking.pools ${pool.name}`;
  const off = isDefault
    ? 'set networking.settings.ippool.disabled to true'
    : 'set disabled of this one to true';
  return {
    name: pool.name,
    words: `${where}: ${textOf(pool)} is refused: pool ${pool.name} has ${textOf(there)}`,
    remedy:
      `keep ${textOf(there)} here. To renumber: add ${textOf(pool)} to networking.pools under ` +
      `another name, ${off}, upgrade, and recreate the pods`,
  };
}

const textOf = ({ cidr, blockSize }: PoolShape): string => {
  const parsed = parseCidr(cidr);
  const usual = parsed ? BLOCK_SIZES[cidrFamily(parsed)] : undefined;
  const size = blockSize ?? usual;
  return `${parsed ?? cidr}${size === usual ? '' : ` with blocks of /${size}`}`;
};
