// Places that are served ahead of the tables of iptables, as an nf_tables table of its own: in a table
// with ten thousand services each transaction costs the kernel a look at all of them, in a small one none.
import { type Cidr, cidrFamily, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bitsOf, bytesOfIp, type Family, familyOf } from '../../net/ip.ts';
import type { MessageWriter } from '../netlink/message.ts';
import type { Forward } from '../tables.ts';
import {
  addressIs,
  leadTo,
  type NftChain,
  oneOf,
  portIs,
  protocolIs,
  sendTo,
  setMark,
  writeTable,
} from './rules.ts';

export const FORWARDS_TABLE = 'calico-services-ahead';
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;
/** linux/netfilter.h: NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT; just before iptables' own nat. */
const HOOKS = { prerouting: 0, output: 3 } as const;
const PRIORITY = -101;
const LIST = 'places';
/** Room for a message; the longest, a rule with two IPv6 addresses, takes half of it. */
const MESSAGE_BYTES = 1024;

/** The name of the chain that serves it. */
export const forwardChain = ({
  protocol,
  ip,
  port,
}: Pick<Forward, 'protocol' | 'ip' | 'port'>): string => `${protocol}-${ip}-${port}`;

/** The table as chains; none for no forwards. All are of one family. */
export function chainsOf(forwards: readonly Forward[]): readonly NftChain[] {
  if (forwards.length === 0) return [];
  const places = forwards.map((one) => [
    ...protocolIs(PROTOCOLS[one.protocol]),
    ...addressIs('destination', bytesOfIp(one.ip)),
    ...portIs(one.port),
    leadTo('goto', forwardChain(one)),
  ]);
  // Chains before those that lead to them: the kernel looks names up as rules come.
  return [
    ...forwards.flatMap(endpointChains),
    ...forwards.map(placeChain),
    { name: LIST, rules: places },
    ...Object.entries(HOOKS).map(([name, number]) => ({
      name,
      hook: { type: 'nat' as const, number, priority: PRIORITY },
      rules: [[leadTo('jump', LIST)]],
    })),
  ];
}

const endpointChain = (forward: Forward, i: number): string => `${forwardChain(forward)}-${i}`;

function placeChain(forward: Forward): NftChain {
  const { endpoints, masqueraded, mark } = forward;
  const choices = endpoints.map((_, i) => {
    const left = endpoints.length - i;
    return [...(left > 1 ? oneOf(left) : []), leadTo('goto', endpointChain(forward, i))];
  });
  const outside = masqueraded === undefined ? [] : [[...elsewhere(masqueraded), ...setMark(mark)]];
  return { name: forwardChain(forward), rules: [...outside, ...choices] };
}

const elsewhere = (range: Cidr | 'all') =>
  range === 'all'
    ? []
    : addressIs('source', bytesOfIp(networkOf(range)), { mask: maskOf(range), negated: true });

function maskOf(range: Cidr): Uint8Array {
  const ones = prefixLengthOf(range);
  return Uint8Array.from({ length: bitsOf(cidrFamily(range)) / 8 }, (_, i) => {
    const bits = Math.min(Math.max(ones - 8 * i, 0), 8);
    return (0xff00 >> bits) & 0xff;
  });
}

const endpointChains = (forward: Forward): readonly NftChain[] =>
  forward.endpoints.map(({ ip, port }, i) => ({
    name: endpointChain(forward, i),
    rules: [
      [...addressIs('source', bytesOfIp(ip)), ...setMark(forward.mark)],
      [...protocolIs(PROTOCOLS[forward.protocol]), ...sendTo(familyOf(ip), bytesOfIp(ip), port)],
    ],
  }));

/** Room that the transaction needs, in octets. */
export function roomFor(chains: readonly NftChain[]): number {
  const messages = chains.reduce((sum, { rules }) => sum + 1 + rules.length, 5);
  return messages * MESSAGE_BYTES;
}

/** One transaction; answers the number of the message that is acknowledged. */
export const writeForwards = (
  w: MessageWriter,
  sequence: number,
  family: Family,
  chains: readonly NftChain[],
): number => writeTable(w, sequence, { family, name: FORWARDS_TABLE, ownership: 'own', chains });
