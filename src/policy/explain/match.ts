// Whether a rule matches a packet, and what made it so. Says in values what `render/rule-render.ts`
// says in iptables' words; that both agree is proved with random worlds (test/differential).

import type { IcmpMatch } from '../../model/policy.ts';
import { contains, prefixLengthOf } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import {
  netsOfFamily,
  type ParsedRule,
  type ParsedSide,
  type PortRange,
  type SetDefinition,
} from '../read/parsed-rule.ts';
import type { Membership, PolicyModel } from './model.ts';
import {
  familyOfPacket,
  type Packet,
  portOf,
  portProtocolOf,
  protocolNumber,
  type Side,
} from './packet.ts';

/** What evaluation asks of a model. */
export type Evaluated = Pick<PolicyModel, 'world' | 'policiesOf' | 'memberOf'>;

/** A set that had to hold one side's address, and by whom it does. */
export interface SetMatch extends Membership {
  readonly side: Side;
  readonly set: SetDefinition;
}

/** What made a rule match; undefined: it does not. */
export type RuleMatch = { readonly sets: readonly SetMatch[] } | undefined;

export function matchRule(rule: ParsedRule, packet: Packet, model: Evaluated): RuleMatch {
  const family = familyOfPacket(packet);
  if (rule.family !== undefined && rule.family !== family) return undefined;
  if (!protocolFits(rule, packet, family)) return undefined;
  const source = matchSide(rule.source, 'source', packet, model);
  const destination = source && matchSide(rule.destination, 'destination', packet, model);
  return destination && { sets: [...source, ...destination] };
}

function protocolFits(rule: ParsedRule, packet: Packet, family: Family): boolean {
  const is = (name: string): boolean => protocolNumber(name) === protocolNumber(packet.protocol);
  if (rule.protocol !== undefined && !is(rule.protocol)) return false;
  if (rule.notProtocol !== undefined && is(rule.notProtocol)) return false;
  const wrongIcmp = family === 4 ? 'icmpv6' : 'icmp';
  if (rule.protocol === wrongIcmp && (rule.icmp || rule.notIcmp)) return false;
  if (rule.icmp && !icmpFits(rule.icmp, packet)) return false;
  const excludes = rule.notIcmp?.type !== undefined;
  return !(excludes && icmpFits(rule.notIcmp!, packet));
}

const icmpFits = ({ type, code }: IcmpMatch, { icmp }: Packet): boolean =>
  (type === undefined || icmp?.type === type) && (code === undefined || icmp?.code === code);

function matchSide(
  side: ParsedSide,
  which: Side,
  packet: Packet,
  model: Evaluated,
): readonly SetMatch[] | undefined {
  const address = packet[which];
  const port = portOf(packet, which);
  const protocol = portProtocolOf(packet.protocol);
  const packetPort = port === undefined || !protocol ? undefined : { protocol, port };
  const nets = netsOfFamily(side.nets, familyOfPacket(packet));
  const notNets = netsOfFamily(side.notNets, familyOfPacket(packet));
  if (!nets || !notNets || notNets.some((net) => prefixLengthOf(net) === 0)) return undefined;
  if (nets.length > 0 && !nets.some((net) => contains(net, address))) return undefined;
  if (notNets.some((net) => contains(net, address))) return undefined;
  const find = (set: SetDefinition): SetMatch | undefined => {
    const member = model.memberOf(set, address, packetPort);
    return member && { side: which, set, ...member };
  };
  const sets = side.sets.map(find);
  if (sets.includes(undefined)) return undefined;
  if ([...side.notSets, ...side.notPortSets].some((set) => find(set))) return undefined;
  if (inRanges(side.notPorts, port)) return undefined;
  const byName = matchPorts(side, port, find);
  return byName && [...sets.filter((set) => set !== undefined), ...byName];
}

// Numbers and names are alternatives.
function matchPorts(
  { ports, portSets }: ParsedSide,
  port: number | undefined,
  find: (set: SetDefinition) => SetMatch | undefined,
): readonly SetMatch[] | undefined {
  if (ports.length === 0 && portSets.length === 0) return [];
  if (inRanges(ports, port)) return [];
  for (const set of portSets) {
    const found = find(set);
    if (found) return [found];
  }
  return undefined;
}

const inRanges = (ranges: readonly PortRange[], port: number | undefined): boolean =>
  port !== undefined && ranges.some(({ first, last }) => first <= port && port <= last);
