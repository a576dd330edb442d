// How large the packets of pods may be: what the link between nodes carries, less the outer headers of
// the largest encapsulation that a pool asks for. A disabled pool counts: its pods live on.
import { cidr, cidrFamily } from '../net/cidr.ts';
import type { IpPoolSpec } from './ip-pool.ts';

export type Encapsulation = 'ipip' | 'vxlan' | 'vxlanV6';

/**
 * Octets before the pod's own packet: an IPv4 header (RFC 2003); or Ethernet, VXLAN, UDP and IPv4 or IPv6
 * headers (RFC 7348).
 */
export const OVERHEAD_BYTES: Readonly<Record<Encapsulation, number>> = {
  ipip: 20,
  vxlan: 50,
  vxlanV6: 70,
};

const isOn = (mode: string | undefined): boolean => (mode ?? 'Never') !== 'Never';

/** What the pools ask for; IP-in-IP of an IPv6 pool does not exist. */
export function encapsulationsOf(
  pools: readonly Pick<IpPoolSpec, 'cidr' | 'ipipMode' | 'vxlanMode'>[],
): ReadonlySet<Encapsulation> {
  const asked = pools.flatMap((pool): Encapsulation[] => {
    const isIpv4 = cidrFamily(cidr(pool.cidr)) === 4;
    return [
      ...(isIpv4 && isOn(pool.ipipMode) ? (['ipip'] as const) : []),
      ...(isOn(pool.vxlanMode) ? ([isIpv4 ? 'vxlan' : 'vxlanV6'] as const) : []),
    ];
  });
  return new Set(asked);
}

/** The most that any of them needs, in octets; 0 without one. */
export const overheadOf = (encapsulations: ReadonlySet<Encapsulation>): number =>
  Math.max(0, ...[...encapsulations].map((each) => OVERHEAD_BYTES[each]));
