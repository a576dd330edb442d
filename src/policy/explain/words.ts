// A rule, and a step of an evaluation, as people read it.
import { printSelector } from '../../model/selector/print.ts';
import type { ParsedRule, ParsedSide, PortRange, SetDefinition } from '../read/parsed-rule.ts';
import { fullName } from '../render/policy-chains.ts';
import type { MatchedRule, Step } from './evaluate.ts';

/** `Allow tcp from app == "web" to ports 80,443`. */
export function wordsOfRule(rule: ParsedRule): string {
  const { action, family, protocol, notProtocol, icmp, notIcmp, source, destination } = rule;
  const from = sideOf(source);
  const to = sideOf(destination);
  return [
    action,
    family && `IPv${family}`,
    protocol,
    notProtocol && `not ${notProtocol}`,
    icmp && `type ${icmp.type ?? 'any'}${icmp.code === undefined ? '' : `/${icmp.code}`}`,
    notIcmp && `not type ${notIcmp.type ?? 'any'}`,
    from && `from ${from}`,
    to && `to ${to}`,
  ]
    .filter(Boolean)
    .join(' ');
}

function sideOf(side: ParsedSide): string {
  const ranges = (ports: readonly PortRange[]): readonly string[] =>
    ports.map(({ first, last }) => (first === last ? `${first}` : `${first}:${last}`));
  const named = (sets: ParsedSide['portSets']) => sets.flatMap(({ port }) => port?.name ?? []);
  const services = [...side.sets, ...side.portSets].flatMap(({ service }) => service?.key ?? []);
  const list = (word: string, values: readonly string[]) =>
    values.length > 0 && `${word} ${values.join(',')}`;
  return [
    ...services.map((service) => `service ${service}`),
    ...side.sets.flatMap(({ selector, service }) => (service ? [] : printSelector(selector))),
    ...side.notSets.map(({ selector }) => `not ${printSelector(selector)}`),
    list('net', side.nets),
    list('not net', side.notNets),
    list('port', [...ranges(side.ports), ...named(side.portSets)]),
    list('not port', [...ranges(side.notPorts), ...named(side.notPortSets)]),
  ]
    .filter(Boolean)
    .join(' ');
}

/** The name of what was asked. */
export function ownerOf(step: Step): string {
  switch (step.kind) {
    case 'policy':
      return `${step.policy.kind} ${fullName(step.policy)}`;
    case 'profile':
      return `Profile ${step.profile.name}`;
    case 'endOfTier':
      return `end of tier ${step.tier}`;
    case 'noProfile':
      return 'no profile allows it';
    case 'encapsulation':
      return `${step.protocol} from a pod is never let out`;
  }
}

/** `rule 2: Allow tcp to port 80`, with who is in the sets that made it match. */
export const wordsOfMatch = ({ number, rule, sets }: MatchedRule): readonly string[] => [
  `rule ${number}: ${wordsOfRule(rule)}`,
  ...sets.map(
    ({ side, set, key, member }) =>
      `  ${side} ${member} is in ${wordsOfSet(set)} by ${shortKey(key)}`,
  ),
];

const wordsOfSet = ({ selector, service }: SetDefinition): string =>
  service ? `service ${service.key}` : printSelector(selector);

// What comes after the API's part of a datastore key.
const shortKey = (key: string): string => key.replace(/^.*projectcalico\.org\//, '');
