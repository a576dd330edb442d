// IPPool: a range that pods get addresses from.
import type { Json } from '../base/json.ts';
import { parseCidr } from '../net/cidr.ts';
import type { Resource } from './resource.ts';

export type EncapsulationMode = 'Always' | 'CrossSubnet' | 'Never';

/** What addresses of a pool may be for. */
export type AllowedUse = 'Workload' | 'Tunnel' | 'LoadBalancer';

export interface IpPoolSpec {
  readonly cidr: string;
  readonly ipipMode?: EncapsulationMode;
  readonly vxlanMode?: EncapsulationMode;
  readonly natOutgoing?: boolean;
  readonly disabled?: boolean;
  readonly disableBGPExport?: boolean;
  /** Prefix length of a block: 20..32 for IPv4 (default 26), 116..128 for IPv6 (default 122). */
  readonly blockSize?: number;
  readonly nodeSelector?: string;
  readonly namespaceSelector?: string;
  readonly allowedUses?: readonly string[];
  readonly assignmentMode?: 'Automatic' | 'Manual';
}

export type IpPool = Resource<'IPPool', IpPoolSpec>;

export function checkIpPoolSpec(spec: Json): string | undefined {
  const { cidr } = spec as { cidr?: Json };
  return typeof cidr === 'string' && parseCidr(cidr)
    ? undefined
    : `cidr ${String(cidr)} is no CIDR`;
}
