// A stored rule made ready for rendering: selectors and named ports become ip sets, ports become
// ranges, everything is checked. A rule that cannot be read fails closed: an Allow (or Pass, or
// Log) is left out, a Deny denies whatever it may have meant.
import type { Json } from '../../base/json.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { Action, EntityRule, IcmpMatch, Rule } from '../../model/policy.ts';
import { printSelector } from '../../model/selector/print.ts';
import { ALL, type Selector } from '../../model/selector/selector.ts';
import { type Cidr, cidrFamily, parseCidr } from '../../net/cidr.ts';
import type { Family } from '../../net/ip.ts';
import { namedPortSetId, selectorSetId, serviceSetId } from '../render/names.ts';
import { entitySelectors } from './entity-selector.ts';
import { checkRule } from './shape.ts';

/** What an ip set holds: the addresses, or address and port pairs, of a selector's or service's endpoints. */
export interface SetDefinition {
  readonly id: string;
  readonly selector: Selector;
  readonly port?: { readonly protocol: string; readonly name: string };
  /** Instead of a selector's: a service's endpoints, `namespace/name`, with their ports or without. */
  readonly service?: { readonly key: string; readonly ports: boolean };
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One side of a rule. Lists are alternatives; sets must all hold. */
export interface ParsedSide {
  readonly nets: readonly Cidr[];
  readonly notNets: readonly Cidr[];
  readonly ports: readonly PortRange[];
  readonly notPorts: readonly PortRange[];
  readonly sets: readonly SetDefinition[];
  readonly notSets: readonly SetDefinition[];
  readonly portSets: readonly SetDefinition[];
  readonly notPortSets: readonly SetDefinition[];
}

export interface ParsedRule {
  readonly action: Action;
  /** Undefined: both, as far as the nets allow. */
  readonly family: Family | undefined;
  /** Lower-case name or number. */
  readonly protocol: string | undefined;
  readonly notProtocol: string | undefined;
  readonly icmp: IcmpMatch | undefined;
  readonly notIcmp: IcmpMatch | undefined;
  readonly source: ParsedSide;
  readonly destination: ParsedSide;
  /** `key=value`, sorted. */
  readonly annotations: readonly string[];
}

export interface ParsedRules {
  readonly rules: readonly ParsedRule[];
  readonly problems: readonly string[];
}

const NO_SIDE: ParsedSide = {
  nets: [],
  notNets: [],
  ports: [],
  notPorts: [],
  sets: [],
  notSets: [],
  portSets: [],
  notPortSets: [],
};
/** Denies everything: what stands for a profile that does not exist. */
export const DENY_ALL: ParsedRule = {
  action: 'Deny',
  family: undefined,
  protocol: undefined,
  notProtocol: undefined,
  icmp: undefined,
  notIcmp: undefined,
  source: NO_SIDE,
  destination: NO_SIDE,
  annotations: [],
};

/** Parses a policy's or profile's rules; the problems say which rule was replaced and why. */
export function parseRules(
  rules: readonly Rule[] | undefined,
  namespace: string | undefined,
): ParsedRules {
  const good: ParsedRule[] = [];
  const problems: string[] = [];
  for (const [i, rule] of (rules ?? []).entries()) {
    const parsed = parseRule(rule, namespace);
    if (parsed.ok) good.push(parsed.value);
    else {
      problems.push(`rule ${i + 1}: ${parsed.error}`);
      if (rule?.action === 'Deny') good.push(DENY_ALL);
    }
  }
  return { rules: good, problems };
}

function parseRule(rule: Rule, namespace: string | undefined): Result<ParsedRule> {
  const misshapen = checkRule(rule as unknown as Json);
  if (misshapen) return fail(misshapen);
  if (!['Allow', 'Deny', 'Log', 'Pass'].includes(rule.action))
    return fail(`unknown action ${JSON.stringify(rule.action)}`);
  const protocol = parseProtocol(rule.protocol ?? undefined);
  const notProtocol = parseProtocol(rule.notProtocol ?? undefined);
  if (!protocol.ok) return protocol;
  if (!notProtocol.ok) return notProtocol;
  const source = parseSource(rule.source ?? {}, namespace, protocol.value);
  const destination = parseDestination(rule.destination ?? {}, namespace, protocol.value);
  if (!source.ok) return source;
  if (!destination.ok) return destination;
  const wrong = checkIcmp(rule, protocol.value);
  if (wrong) return fail(wrong);
  const annotations = Object.entries(rule.metadata?.annotations ?? {});
  return ok({
    action: rule.action,
    family: rule.ipVersion ?? FAMILY_OF[protocol.value ?? ''],
    protocol: protocol.value,
    notProtocol: notProtocol.value,
    icmp: rule.icmp ?? undefined,
    notIcmp: rule.notICMP ?? undefined,
    source: source.value,
    destination: destination.value,
    annotations: annotations.map(([key, value]) => `${key}=${value}`).sort(),
  });
}

const PROTOCOLS = ['tcp', 'udp', 'icmp', 'icmpv6', 'sctp', 'udplite'];
/** Protocols that, by these names, mean one family. */
const FAMILY_OF: Readonly<Record<string, Family>> = { icmp: 4, icmpv6: 6 };
const PROTOCOLS_WITH_PORTS = ['tcp', 'udp', 'sctp', 'udplite', '6', '17', '132', '136'];
const SET_PROTOCOLS: Readonly<Record<string, string>> = {
  udp: 'udp',
  '17': 'udp',
  sctp: 'sctp',
  '132': 'sctp',
};

function parseProtocol(value: string | number | undefined): Result<string | undefined> {
  if (value === undefined) return ok(undefined);
  const text = String(value).toLowerCase();
  const number = /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= 255;
  return number || PROTOCOLS.includes(text) ? ok(text) : fail(`unknown protocol ${value}`);
}

function checkIcmp({ icmp, notICMP }: Rule, protocol: string | undefined): string | undefined {
  for (const match of [icmp, notICMP]) {
    if (!match) continue;
    if (protocol !== 'icmp' && protocol !== 'icmpv6') return 'icmp needs protocol ICMP or ICMPv6';
    for (const part of [match.type, match.code])
      if (part !== undefined && !(Number.isInteger(part) && part >= 0 && part < 255))
        return `icmp type or code ${part} is not 0 to 254`;
    if (match.type === undefined && match.code !== undefined) return 'icmp code without type';
  }
  return undefined;
}

interface Ports {
  readonly ranges: readonly PortRange[];
  readonly names: readonly string[];
}

/** What a side may say beside `services`: they are who and where already. */
const BESIDE_SERVICES = {
  source: ['services', 'ports', 'notPorts'],
  destination: ['services'],
} as const;

// A service's clients speak from any port.
function parseSource(
  entity: EntityRule,
  namespace: string | undefined,
  protocol: string | undefined,
): Result<ParsedSide> {
  const side = parseSide(entity, namespace, protocol);
  if (!side.ok || !entity.services) return side;
  const set = serviceSet(entity, namespace, 'source');
  return set.ok ? ok({ ...side.value, sets: [set.value], portSets: side.value.portSets }) : set;
}

function parseDestination(
  entity: EntityRule,
  namespace: string | undefined,
  protocol: string | undefined,
): Result<ParsedSide> {
  if (!entity.services) return parseSide(entity, namespace, protocol);
  const set = serviceSet(entity, namespace, 'destination');
  return set.ok ? ok({ ...NO_SIDE, portSets: [set.value] }) : set;
}

function serviceSet(
  entity: EntityRule,
  ownNamespace: string | undefined,
  side: 'source' | 'destination',
): Result<SetDefinition> {
  const allowed: readonly string[] = BESIDE_SERVICES[side];
  const beside = Object.entries(entity).find(
    ([name, value]) => !allowed.includes(name) && value !== null && value !== '' && !isEmpty(value),
  );
  if (beside) return fail(`${side}.services with ${beside[0]}: use one of them`);
  const { name, namespace = ownNamespace } = entity.services ?? {};
  if (!name) return fail(`${side}.services has no name`);
  if (!namespace) return fail(`${side}.services needs a namespace in a global policy`);
  const key = `${namespace}/${name}`;
  const ports = side === 'destination';
  return ok({ id: serviceSetId(key, ports), selector: ALL, service: { key, ports } });
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

function parseSide(
  entity: EntityRule,
  namespace: string | undefined,
  protocol: string | undefined,
): Result<ParsedSide> {
  const ports = parsePorts(entity.ports, protocol);
  const notPorts = parsePorts(entity.notPorts, protocol);
  const nets = parseNets(entity.nets);
  const notNets = parseNets(entity.notNets);
  const selectors = entitySelectors(entity, namespace);
  if (!ports.ok) return ports;
  if (!notPorts.ok) return notPorts;
  if (!nets.ok) return nets;
  if (!notNets.ok) return notNets;
  if (!selectors.ok) return selectors;
  const { positive, negative } = selectors.value;
  const named = (name: string): SetDefinition => portSet(positive ?? ALL, protocol, name);
  // A named port's set already holds only the selector's endpoints.
  const covered = ports.value.names.length > 0 && ports.value.ranges.length === 0;
  return ok({
    nets: nets.value,
    notNets: notNets.value,
    ports: ports.value.ranges,
    notPorts: notPorts.value.ranges,
    sets: positive && !covered ? [selectorSet(positive)] : [],
    notSets: negative ? [selectorSet(negative)] : [],
    portSets: ports.value.names.map(named),
    notPortSets: notPorts.value.names.map(named),
  });
}

const selectorSet = (selector: Selector): SetDefinition => ({
  id: selectorSetId(printSelector(selector)),
  selector,
});

function portSet(selector: Selector, ruleProtocol: string | undefined, name: string) {
  const protocol = SET_PROTOCOLS[ruleProtocol ?? ''] ?? 'tcp';
  const id = namedPortSetId(selectorSetId(printSelector(selector)), protocol, name);
  return { id, selector, port: { protocol, name } };
}

function parsePorts(ports: EntityRule['ports'], protocol: string | undefined): Result<Ports> {
  const ranges: PortRange[] = [];
  const names: string[] = [];
  for (const port of ports ?? []) {
    const match = /^(\d+)(?::(\d+))?$/.exec(String(port));
    if (!match) names.push(String(port));
    else {
      const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
      if (first > last || last > 65535) return fail(`port ${port} is no port or range`);
      ranges.push({ first, last });
    }
  }
  if (ranges.length > 0 && !PROTOCOLS_WITH_PORTS.includes(protocol ?? ''))
    return fail('ports need a protocol that has ports');
  return ok({ ranges, names });
}

function parseNets(texts: readonly string[] | undefined): Result<readonly Cidr[]> {
  const nets: Cidr[] = [];
  for (const text of texts ?? []) {
    const net = parseCidr(text);
    if (!net) return fail(`${text} is no CIDR`);
    nets.push(net);
  }
  return ok(nets);
}

/** Keeps the nets of one family; undefined when a list that was not empty becomes so. */
export function netsOfFamily(nets: readonly Cidr[], family: Family): readonly Cidr[] | undefined {
  const kept = nets.filter((net) => cidrFamily(net) === family);
  return kept.length === 0 && nets.length > 0 ? undefined : kept;
}
