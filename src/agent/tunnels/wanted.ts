// What pools ask of this node's tunnel devices.
import type { IpPool } from '../../model/ip-pool.ts';
import { type Encapsulation, encapsulationsOf, OVERHEAD_BYTES } from '../../model/mtu.ts';
import { matches } from '../../model/selector/match.ts';
import { parseSelector } from '../../model/selector/parse.ts';
import { cidr, contains } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';

const MTU_OF_ETHERNET = 1500;

/**
 * Pools with the encapsulation: every node may have to send to their blocks, whichever nodes they
 * select. Disabled ones still have pods.
 */
export const tunnelPools = (tunnel: Encapsulation, pools: readonly IpPool[]): readonly IpPool[] =>
  pools.filter(({ spec }) => encapsulationsOf([spec]).has(tunnel));

/** Those that select a node with these labels: only of these does it get an address. */
export const selecting = (
  pools: readonly IpPool[],
  labels: Readonly<Record<string, string>>,
): readonly IpPool[] => pools.filter(({ spec }) => selects(spec.nodeSelector, labels));

/** Those that new addresses may come from. */
export const enabledOf = (pools: readonly IpPool[]): readonly IpPool[] =>
  pools.filter(({ spec }) => !spec.disabled);

// A selector that cannot be read selects nobody.
function selects(text: string | undefined, labels: Readonly<Record<string, string>>): boolean {
  const selector = parseSelector(text ?? '');
  return selector.ok && matches(selector.value, (name) => labels[name]);
}

/** Whether one of the pools has the address. */
export const isWithin = (pools: readonly IpPool[], ip: Ip): boolean =>
  pools.some(({ spec }) => contains(cidr(spec.cidr), ip));

/** The device's MTU in octets: as it is set, but no more than what the link that carries it leaves. */
export function tunnelMtu(
  tunnel: Encapsulation,
  set: number | undefined,
  linkMtu: number | undefined,
): number {
  const room = (linkMtu ?? MTU_OF_ETHERNET) - OVERHEAD_BYTES[tunnel];
  return tunnel === 'ipip' ? set || room : Math.min(set || room, room);
}
