// A table of our own behind the filter tables of iptables, which `iptables -F` does not touch: what begins at
// or ends in a workload's interface and was not accepted by policy is dropped there.
import type { Family } from '../../net/ip.ts';
import {
  count,
  type Expression,
  end,
  icmpv6Between,
  interfaceBegins,
  markHas,
  type NftChain,
  stateIs,
} from './rules.ts';

export interface GuardRules {
  /** Bit of the packet mark that says that policy has accepted the packet. */
  readonly acceptMark: number;
  /** What names of workloads' interfaces begin with. */
  readonly interfacePrefixes: readonly string[];
}

export const GUARD_TABLE = 'calico-kit-guard';
/** linux/netfilter.h: NF_INET_LOCAL_IN, NF_INET_FORWARD. */
const HOOKS = { input: 1, forward: 2 } as const;
/** The filter table of iptables is at 0. */
const PRIORITY = 10;
/** Established, related. */
const KNOWN_STATES = 6;

type Rule = readonly Expression[];

/** Without them a workload does not find its gateway (RFC 4861, RFC 2710); 134 would be a router's words. */
const neighbourDiscovery: Rule = [...icmpv6Between(130, 136, 134), end('accept')];

const dropped = (which: 'in' | 'out', prefixes: readonly string[]): readonly Rule[] =>
  prefixes.map((prefix) => [...interfaceBegins(which, prefix), count, end('drop')]);

/** The chains of the table; what they drop is counted. */
export function guardChains(
  family: Family,
  { acceptMark, interfacePrefixes }: GuardRules,
): readonly NftChain[] {
  const accepted: readonly Rule[] = [
    [...stateIs(KNOWN_STATES), end('accept')],
    [...markHas(acceptMark), end('accept')],
  ];
  const fromWorkloads = dropped('in', interfacePrefixes);
  const chain = (name: keyof typeof HOOKS, rules: readonly Rule[]): NftChain => ({
    name,
    hook: { type: 'filter', number: HOOKS[name], priority: PRIORITY },
    rules,
  });
  return [
    chain('input', [...accepted, ...(family === 6 ? [neighbourDiscovery] : []), ...fromWorkloads]),
    chain('forward', [...accepted, ...fromWorkloads, ...dropped('out', interfacePrefixes)]),
  ];
}
