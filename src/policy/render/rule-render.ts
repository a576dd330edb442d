// One policy rule as iptables rules. iptables has one source and one destination match a rule, at
// most 15 ports in a multiport match, and no "or"; what does not fit is worked out beforehand in
// blocks of rules that leave their result in a scratch mark, which the last rule then asks for.
import { type Cidr, prefixLengthOf } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import { MARK } from '../mark-bits.ts';
import {
  netsOfFamily,
  type ParsedRule,
  type ParsedSide,
  type PortRange,
} from '../read/parsed-rule.ts';
import {
  all,
  clearMark,
  DROP,
  inSet,
  marked,
  notInSet,
  RETURN,
  type Side,
  setMark,
  setMaskedMark,
  unmarked,
} from './fragments.ts';
import { LOG_DEFAULTS, type LogAction, logAction } from './log-action.ts';
import { setName } from './names.ts';
import type { Rule } from './rule.ts';

/** The rule for one family; nothing when it cannot match a packet of that family. */
export function renderRule(
  rule: ParsedRule,
  family: Family,
  log: LogAction = PLAIN_LOG,
  deny = DROP,
): readonly Rule[] {
  const filtered = ofFamily(rule, family);
  if (!filtered) return [];
  const source = splitSide(filtered.source, 'src', filtered.protocol, family);
  const destination = splitSide(filtered.destination, 'dst', filtered.protocol, family);
  const blocks = renderBlocks(
    [source.ports, destination.ports, source.nets, destination.nets],
    [...source.exclusions, ...destination.exclusions],
  );
  const match = all(
    filtered.protocol && `-p ${filtered.protocol}`,
    source.match,
    destination.match,
    icmp(filtered.icmp, family, ''),
    // iptables takes one -p; another protocol is excluded by the positive match already.
    !filtered.protocol && filtered.notProtocol && `! -p ${filtered.notProtocol}`,
    source.notMatch,
    destination.notMatch,
    icmp(filtered.notIcmp, family, '! '),
    blocks.length > 0 ? marked(MARK.scratch0) : '',
  );
  const rules = [...blocks, ...withVerdict(match, filtered.action, log, deny)];
  if (filtered.annotations.length === 0) return rules;
  return rules.map((r) => ({ ...r, comments: filtered.annotations }));
}

const NOBODY = { tier: '', kind: '', name: '', namespace: undefined, rule: 0 };
const PLAIN_LOG = logAction(LOG_DEFAULTS, NOBODY);

function withVerdict(
  match: string,
  action: ParsedRule['action'],
  log: LogAction,
  deny: string,
): readonly Rule[] {
  if (action === 'Log') return [{ match: all(match, log.limit), action: log.action }];
  const bit = { Allow: MARK.accept, Pass: MARK.pass, Deny: MARK.drop }[action];
  return [
    { match, action: setMark(bit) },
    { match: marked(bit), action: action === 'Deny' ? deny : RETURN },
  ];
}

function ofFamily(rule: ParsedRule, family: Family): ParsedRule | undefined {
  if (rule.family !== undefined && rule.family !== family) return undefined;
  const wrongIcmp = family === 4 ? 'icmpv6' : 'icmp';
  if (rule.protocol === wrongIcmp && (rule.icmp || rule.notIcmp)) return undefined;
  if (rule.protocol !== undefined && rule.protocol === rule.notProtocol) return undefined;
  const source = sideOfFamily(rule.source, family);
  const destination = sideOfFamily(rule.destination, family);
  return source && destination && { ...rule, source, destination };
}

function sideOfFamily(side: ParsedSide, family: Family): ParsedSide | undefined {
  const nets = netsOfFamily(side.nets, family);
  const notNets = netsOfFamily(side.notNets, family);
  // "Not everything" matches nothing, and iptables refuses it.
  if (!nets || !notNets || notNets.some((net) => prefixLengthOf(net) === 0)) return undefined;
  return { ...side, nets, notNets };
}

/** A side's part of the last rule, and what had to become a block. */
interface SplitSide {
  readonly match: string;
  readonly notMatch: string;
  /** Alternatives of which one must match; empty when they fit into `match`. */
  readonly ports: readonly string[];
  readonly nets: readonly string[];
  /** None of these may match. */
  readonly exclusions: readonly string[];
}

function splitSide(
  side: ParsedSide,
  which: Side,
  protocol: string | undefined,
  family: Family,
): SplitSide {
  const ip = which === 'src' ? '--source' : '--destination';
  const sets = (ids: ParsedSide['sets']): readonly string[] =>
    ids.map(({ id }) => inSet(setName(family, id), which));
  const notSets = (ids: ParsedSide['sets']): readonly string[] =>
    ids.map(({ id }) => notInSet(setName(family, id), which));
  const pair = which === 'src' ? 'src,src' : 'dst,dst';
  const portSets = side.portSets.map(({ id }) => inSetPair(setName(family, id), pair, ''));
  const notPortSets = side.notPortSets.map(({ id }) => inSetPair(setName(family, id), pair, '! '));
  const net = (cidr: Cidr): string => `${ip} ${cidr}`;

  const ports = splitPorts(side.ports).map((group) => multiport(which, group, ''));
  const portBlock = ports.length + portSets.length > 1;
  const netBlock = side.nets.length > 1;
  const netsInRule = netBlock ? [] : side.nets;
  const exclude = netsInRule.length + side.notNets.length > 1;
  return {
    match: all(
      ...netsInRule.map(net),
      ...sets(side.sets),
      ...(portBlock ? [] : [...ports, ...portSets]),
    ),
    notMatch: all(
      ...(exclude ? [] : side.notNets.map((cidr) => `! ${net(cidr)}`)),
      ...notSets(side.notSets),
      ...splitPorts(side.notPorts).map((group) => multiport(which, group, '! ')),
      ...notPortSets,
    ),
    ports: portBlock
      ? [...ports.map((match) => all(protocol && `-p ${protocol}`, match)), ...portSets]
      : [],
    nets: netBlock ? side.nets.map(net) : [],
    exclusions: exclude ? side.notNets.map(net) : [],
  };
}

const inSetPair = (name: string, pair: 'src,src' | 'dst,dst', not: '' | '! '): string =>
  `-m set ${not}--match-set ${name} ${pair}`;

const multiport = (side: Side, ports: readonly PortRange[], not: '' | '! '): string =>
  `-m multiport ${not}--${side === 'src' ? 'source' : 'destination'}-ports ${ports
    .map(({ first, last }) => (first === last ? `${first}` : `${first}:${last}`))
    .join(',')}`;

/** Slots of one multiport match; a range takes two. */
const PORT_SLOTS = 15;

function splitPorts(ports: readonly PortRange[]): readonly (readonly PortRange[])[] {
  const groups: PortRange[][] = [];
  let free = 0;
  for (const range of ports) {
    const slots = range.first === range.last ? 1 : 2;
    if (free < slots) {
      groups.push([]);
      free = PORT_SLOTS;
    }
    groups.at(-1)!.push(range);
    free -= slots;
  }
  return groups;
}

/**
 * scratch0 is set at the end when every block of `required` matched and nothing of `excluded`.
 * The first block writes scratch0 directly; each later one collects in scratch1, which is then
 * "and"-ed in. (Felix does not clear scratch1 between the second block and the third, so that a
 * third block always holds there; we clear it.)
 */
function renderBlocks(
  alternatives: readonly (readonly string[])[],
  excluded: readonly string[],
): readonly Rule[] {
  const required = alternatives.filter((block) => block.length > 0);
  if (required.length === 0 && excluded.length === 0) return [];
  const start = required.length > 0 ? 0 : MARK.scratch0;
  const rules: Rule[] = [
    { match: '', action: setMaskedMark(start, MARK.scratch0 | MARK.scratch1) },
  ];
  for (const [i, block] of required.entries()) {
    const bit = i === 0 ? MARK.scratch0 : MARK.scratch1;
    if (i > 1) rules.push({ match: '', action: clearMark(MARK.scratch1) });
    for (const match of block) rules.push({ match, action: setMark(bit) });
    if (i > 0) rules.push({ match: unmarked(MARK.scratch1), action: clearMark(MARK.scratch0) });
  }
  for (const match of excluded) rules.push({ match, action: clearMark(MARK.scratch0) });
  return rules;
}

function icmp(match: ParsedRule['icmp'], family: Family, not: '' | '! '): string {
  if (match?.type === undefined) return '';
  const type = match.code === undefined ? `${match.type}` : `${match.type}/${match.code}`;
  return family === 4
    ? `-m icmp ${not}--icmp-type ${type}`
    : `-m icmp6 ${not}--icmpv6-type ${type}`;
}
