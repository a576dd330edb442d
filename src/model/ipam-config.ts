// IPAM's configuration: one object for the cluster. What its fields mean when they, or the whole
// object, are absent, and which combinations make no sense.

export interface IpamConfig {
  /** A node takes addresses only from blocks of its own. */
  readonly strict_affinity?: boolean;
  readonly auto_allocate_blocks?: boolean;
  /** 0 or absent: the allocator's own limit. */
  readonly maxBlocksPerHost?: number;
  /** How long a freed address is not given out again, 0..1200. */
  readonly ipCooldownSeconds?: number;
  /** Whether a KubeVirt VM keeps its address; only `Disabled` says no. */
  readonly kubeVirtVMAddressPersistence?: string;
}

/** Blocks that a node owns at most, unless the configuration says otherwise. */
export const BLOCKS_PER_NODE_MAX = 20;
/** Calico's type of maxBlocksPerHost has 32 bits with a sign. */
const BLOCKS_MAX = 2 ** 31 - 1;
export const COOLDOWN_SECONDS_MAX = 1200;

/** Whether nodes claim blocks by themselves. An object without the key means no, no object yes. */
export const claimsBlocks = (config: IpamConfig | undefined): boolean =>
  config === undefined || config.auto_allocate_blocks === true;

export const blocksPerNodeMax = (config: IpamConfig | undefined): number =>
  config?.maxBlocksPerHost || BLOCKS_PER_NODE_MAX;

/**
 * Whether addresses of KubeVirt VMs are kept for them. Not with strict affinity: they could not
 * follow to another node, and a VM shall be able to start there.
 */
export const keepsMachines = (config: IpamConfig | undefined): boolean =>
  config?.kubeVirtVMAddressPersistence !== 'Disabled' && config?.strict_affinity !== true;

/** A stored value that is out of bounds counts as the nearest bound. */
export const cooldownSeconds = (config: IpamConfig | undefined): number =>
  Math.min(Math.max(config?.ipCooldownSeconds ?? 0, 0), COOLDOWN_SECONDS_MAX);

/** Why such a configuration may not be written; undefined when it may. Readers are tolerant. */
export function ipamConfigProblem(config: IpamConfig): string | undefined {
  const { strict_affinity: strict = false, maxBlocksPerHost: blocks = 0 } = config;
  const { ipCooldownSeconds: cooldown = 0 } = config;
  if (!Number.isInteger(blocks) || blocks < 0 || blocks > BLOCKS_MAX)
    return `maxBlocksPerHost ${blocks} is not within 0..${BLOCKS_MAX}`;
  if (!Number.isInteger(cooldown) || cooldown < 0 || cooldown > COOLDOWN_SECONDS_MAX)
    return `ipCooldownSeconds ${cooldown} is not within 0..${COOLDOWN_SECONDS_MAX}`;
  if (!strict && !claimsBlocks(config))
    return 'without strictAffinity autoAllocateBlocks must be true: no node could own a block';
  if (!strict && blocks > 0)
    return 'maxBlocksPerHost needs strictAffinity: a node at its limit would only borrow';
  return undefined;
}
