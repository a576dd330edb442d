// What pools ask of this node's IP-in-IP device.
import type { IpPool } from '../../model/ip-pool.ts';
import { matches } from '../../model/selector/match.ts';
import { parseSelector } from '../../model/selector/parse.ts';
import { cidr, cidrFamily, contains } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';

/** Header of IP-in-IP, bytes (RFC 2003). */
const IPIP_HEADER_BYTES = 20;

/** Enabled IPv4 pools with IP-in-IP that select a node with these labels. */
export function ipipPools(
  pools: readonly IpPool[],
  labels: Readonly<Record<string, string>>,
): readonly IpPool[] {
  return pools.filter(({ spec }) => {
    if (spec.disabled || (spec.ipipMode ?? 'Never') === 'Never') return false;
    return cidrFamily(cidr(spec.cidr)) === 4 && selects(spec.nodeSelector, labels);
  });
}

// A selector that cannot be read selects nobody.
function selects(text: string | undefined, labels: Readonly<Record<string, string>>): boolean {
  const selector = parseSelector(text ?? '');
  return selector.ok && matches(selector.value, (name) => labels[name]);
}

/** Whether one of the pools has the address. */
export const isWithin = (pools: readonly IpPool[], ip: Ip): boolean =>
  pools.some(({ spec }) => contains(cidr(spec.cidr), ip));

/** The tunnel's MTU: as it is set, else what is left of the link that carries it. */
export const ipipMtu = (set: number | undefined, linkMtu: number | undefined): number =>
  set || (linkMtu ?? 1500) - IPIP_HEADER_BYTES;
