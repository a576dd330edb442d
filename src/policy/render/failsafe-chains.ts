// The chains that let a host's failsafe ports through before any of its policies is asked.
import { cidrFamily } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import type { Failsafe, Failsafes } from '../read/failsafes.ts';
import { ACCEPT, all } from './fragments.ts';
import type { Direction } from './names.ts';
import type { Chain, Rule } from './rule.ts';
import { neighbourDiscovery } from './static-chains.ts';

/** By the direction of the chain that asks it. */
export const FAILSAFE_CHAIN = { ingress: 'cali-failsafe-in', egress: 'cali-failsafe-out' } as const;

/**
 * In `raw` also the answers to what the other direction lets through: there no connection is known
 * yet, and half of one must not go untracked. IPv6: neighbour discovery too, which is what ARP is
 * to IPv4 and reaches no policy there either (Felix leaves it to the policies).
 */
export function failsafeChain(
  table: 'raw' | 'mangle' | 'filter',
  direction: Direction,
  family: Family,
  { inbound, outbound }: Failsafes,
): Chain {
  const [own, answered] = direction === 'ingress' ? [inbound, outbound] : [outbound, inbound];
  const accept = (failsafes: readonly Failsafe[], ports: 'destination' | 'source') =>
    failsafes.flatMap((failsafe) => ruleOf(failsafe, ports, direction, family));
  return {
    name: FAILSAFE_CHAIN[direction],
    rules: [
      ...(family === 6 ? neighbourDiscovery(ACCEPT) : []),
      ...accept(own, 'destination'),
      ...(table === 'raw' ? accept(answered, 'source') : []),
    ],
  };
}

function ruleOf(
  { protocol, port, net }: Failsafe,
  ports: 'destination' | 'source',
  direction: Direction,
  family: Family,
): readonly Rule[] {
  if (net && cidrFamily(net) !== family) return [];
  const side = direction === 'ingress' ? 'source' : 'destination';
  const match = all(
    `-p ${protocol}`,
    `-m multiport --${ports}-ports ${port}`,
    net && `--${side} ${net}`,
  );
  return [{ match, action: ACCEPT }];
}
