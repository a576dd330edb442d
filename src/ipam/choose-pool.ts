// Which pools a node may take addresses from, and for those it may not, why: an exhausted ADD says
// it in words.
import type { IpPool } from '../model/ip-pool.ts';
import { type Cidr, cidrFamily, parseCidr } from '../net/cidr.ts';
import type { Family } from '../net/ip.ts';

export interface UsablePool {
  readonly name: string;
  readonly cidr: Cidr;
  /** Prefix length of a block. */
  readonly blockSize: number;
}

export interface PoolChoice {
  readonly usable: readonly UsablePool[];
  /** `name: reason`, for each pool that was left out. */
  readonly refused: readonly string[];
}

export interface PoolRequest {
  readonly family: Family;
  /** Names or CIDRs; when given, selectors are ignored and every one must exist. */
  readonly asked: readonly string[];
  /** Whether a node selector matches this node. */
  readonly selectsNode: (selector: string) => boolean;
}

const DEFAULT_BLOCK_SIZE: Readonly<Record<Family, number>> = { 4: 26, 6: 122 };

export function choosePools(pools: readonly IpPool[], request: PoolRequest): PoolChoice {
  const usable: UsablePool[] = [];
  const refused: string[] = [];
  const inOrder = [...pools].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const pool of inOrder) {
    const cidr = parseCidr(pool.spec.cidr);
    if (!cidr || cidrFamily(cidr) !== request.family) continue;
    const reason = refusal(pool, cidr, request);
    const name = pool.metadata.name;
    if (reason) refused.push(`${name}: ${reason}`);
    else
      usable.push({
        name,
        cidr,
        blockSize: pool.spec.blockSize ?? DEFAULT_BLOCK_SIZE[request.family],
      });
  }
  return { usable, refused };
}

function refusal(
  { metadata, spec }: IpPool,
  cidr: Cidr,
  { asked, selectsNode }: PoolRequest,
): string | undefined {
  if (spec.disabled) return 'disabled';
  if (asked.length > 0)
    return asked.includes(metadata.name) || asked.includes(cidr) ? undefined : 'not asked for';
  if (spec.assignmentMode === 'Manual') return 'assignmentMode is Manual';
  if (spec.allowedUses && !spec.allowedUses.includes('Workload'))
    return 'allowedUses has no Workload';
  return selectsNode(spec.nodeSelector ?? 'all()')
    ? undefined
    : `nodeSelector ${spec.nodeSelector} does not select this node`;
}
