// What one seed sets up: every seed draws its own size, settings and mix of faults, so that rare
// combinations meet, and so that some runs have few faults and are held to stricter rules.
import type { IpamConfig } from '../../src/model/ipam-config.ts';
import type { Family } from '../../src/net/ip.ts';
import type { Random } from './random.ts';

/** Probabilities a request (lost, late), a delivery (break) or an operation (the others). */
export interface Faults {
  readonly lostReply: number;
  readonly lostRequest: number;
  /** The caller was told of a failure, and the transaction commits after that. */
  readonly lateRequest: number;
  readonly slowRequest: number;
  /** The watch's history is compacted away: a new listing after a while. */
  readonly watchBreak: number;
  readonly slowWatch: number;
  /** A process dies; its requests under way may or may not arrive. */
  readonly crash: number;
  /** A new process begins while the former one still answers what it was asked. */
  readonly overlap: number;
  readonly clockJump: number;
  readonly outage: number;
  readonly settings: number;
  readonly nodeRemoval: number;
  /** Another writer of Calico's layout stops half-way through a claim or a release. */
  readonly foreign: number;
  /** The store forgets what a transaction compares: never drawn, for proving that it is noticed. */
  readonly lostCompare: number;
}

export interface PoolPlan {
  readonly name: string;
  readonly cidr: string;
  readonly blockSize: number;
  readonly family: Family;
  /** Only nodes of this zone. */
  readonly zone: string | undefined;
}

export interface Plan {
  readonly nodes: readonly string[];
  readonly families: readonly Family[];
  readonly pools: readonly PoolPlan[];
  readonly config: IpamConfig | undefined;
  readonly faults: Faults;
  /** Containers that the cluster wants alive at once, about. */
  readonly wanted: number;
  /** Long pauses between operations, in which blocks become idle and addresses cool down. */
  readonly leisure: number;
  /** Operations begin in bursts with this probability. */
  readonly burst: number;
}

export const NO_FAULTS: Faults = {
  lostReply: 0,
  lostRequest: 0,
  lateRequest: 0,
  slowRequest: 0,
  watchBreak: 0,
  slowWatch: 0,
  crash: 0,
  overlap: 0,
  clockJump: 0,
  outage: 0,
  settings: 0,
  nodeRemoval: 0,
  foreign: 0,
  lostCompare: 0,
};

const HIGHEST: Omit<Faults, 'lostCompare'> = {
  lostReply: 0.15,
  lostRequest: 0.1,
  lateRequest: 0.05,
  slowRequest: 0.3,
  watchBreak: 0.03,
  slowWatch: 0.3,
  crash: 0.08,
  overlap: 0.03,
  clockJump: 0.05,
  outage: 0.02,
  settings: 0.08,
  nodeRemoval: 0.03,
  foreign: 0.05,
};

export function drawPlan(random: Random): Plan {
  const many = random.chance(0.06);
  const count = many ? random.integer(9, 50) : random.integer(3, 8);
  const families = random.of<readonly Family[]>([[4], [4], [4], [6], [4, 6]]);
  const pools = families.flatMap((family) => drawPools(random, family));
  const capacity = Math.min(...families.map((family) => sizeOfAll(pools, family)));
  return {
    nodes: Array.from({ length: count }, (_, i) => `node-${i}`),
    families,
    pools,
    config: random.chance(0.4) ? undefined : drawConfig(random),
    faults: random.chance(0.08) ? NO_FAULTS : drawFaults(random),
    wanted: Math.max(3, Math.round(capacity * (0.5 + random.next()))),
    leisure: random.chance(0.3) ? 0.1 : 0.01,
    burst: random.next(),
  };
}

function drawFaults(random: Random): Faults {
  const entries = Object.entries(HIGHEST).map(([name, highest]) => [
    name,
    random.chance(0.5) ? highest * random.next() : 0,
  ]);
  return { ...NO_FAULTS, ...Object.fromEntries(entries) };
}

export function drawConfig(random: Random): IpamConfig {
  const strict = random.chance(0.4);
  return {
    strict_affinity: strict,
    auto_allocate_blocks: true,
    ...(strict && random.chance(0.5) && { maxBlocksPerHost: random.integer(1, 4) }),
    ...(random.chance(0.3) && { ipCooldownSeconds: random.of([1, 5, 60]) }),
  };
}

export const ZONES = ['east', 'west'] as const;

// Small, so that exhaustion, borrowing and reclaiming are common.
function drawPools(random: Random, family: Family): readonly PoolPlan[] {
  const longest = family === 4 ? 32 : 128;
  return Array.from({ length: random.integer(1, 2) }, (_, i) => {
    const blockSize = longest - random.integer(0, 3);
    const length = blockSize - random.integer(1, 4);
    const zone = i === 1 && random.chance(0.4) ? random.of(ZONES) : undefined;
    const network = family === 4 ? `10.${i}.0.0` : `fd00:${i + 1}::`;
    return { name: `pool${family}-${i}`, cidr: `${network}/${length}`, blockSize, family, zone };
  });
}

const sizeOfAll = (pools: readonly PoolPlan[], family: Family): number =>
  pools
    .filter((pool) => pool.family === family)
    .reduce(
      (sum, { cidr }) => sum + 2 ** ((family === 4 ? 32 : 128) - Number(cidr.split('/')[1])),
      0,
    );
