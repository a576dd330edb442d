// The rules about lists of objects: each fault names the object by its place in the list.
import type { Json } from '../../base/json.ts';
import { type Cidr, containsCidr, parseCidr } from '../../net/cidr.ts';
import { isObject } from '../resource.ts';
import {
  type DisjointRule,
  type EachRule,
  IPV4_ADDRESS,
  IPV4_POOL,
  type PatternRule,
  type RangeRule,
  type UniqueRule,
} from './rules.ts';

/** The value at a path; undefined when it is not there or null. */
export function valueAt(values: Json, path: readonly string[]): Json | undefined {
  let here: Json | undefined = values;
  for (const key of path)
    here = isObject(here ?? null) ? (here as Record<string, Json>)[key] : undefined;
  return here ?? undefined;
}

/** What follows the value in the message of a rule about one value. */
export const remedyOf = (rule: PatternRule | RangeRule | EachRule): string =>
  `is not ${rule.wanted}, for example ${rule.example}`;

const itemsOf = (values: Json, path: readonly string[]): readonly Json[] => {
  const items = valueAt(values, path);
  return Array.isArray(items) ? items : [];
};

/** A text of each object of a list, and what it is called. */
const textsOf = (values: Json, path: readonly string[], field: readonly string[]) =>
  itemsOf(values, path).flatMap((item, i) => {
    const text = valueAt(item, field);
    return typeof text === 'string' ? [{ name: [...path, i, ...field].join('.'), text }] : [];
  });

/** The faults of a rule about every object of a list. */
export const eachFaults = (rule: EachRule, values: Json): readonly string[] =>
  textsOf(values, rule.path, rule.field)
    .filter(({ text }) => !new RegExp(rule.pattern).test(text))
    .map(({ name, text }) => `${name}: ${JSON.stringify(text)} ${remedyOf(rule)}`);

/** Texts that an object before has already. */
export const repeated = (rule: UniqueRule, values: Json): readonly string[] =>
  textsOf(values, rule.path, rule.field)
    .filter(({ text }, i, all) => all.findIndex((one) => one.text === text) < i)
    .map(({ name, text }) => `${name}: ${JSON.stringify(text)} ${REPEATED}`);

/** What follows two prefixes that overlap. */
export const APART = 'choose one that shares no address with it';

export const REPEATED = 'is there already; names are given once';

interface Net {
  readonly name: string;
  readonly text: string;
  readonly cidr: Cidr;
}

/** IPv4 prefixes that overlap one before. */
export function overlaps(rule: DisjointRule, values: Json): readonly string[] {
  const { path, list, field, address, addressIf } = rule;
  const own = (at: readonly string[]) => ({ name: at.join('.'), text: valueAt(values, at) });
  const texts = [
    own(path),
    ...(valueAt(values, addressIf) === true ? [own(address)] : []),
    ...textsOf(values, list, [field]),
  ];
  const nets = texts.flatMap(({ name, text }): readonly Net[] => {
    const cidr = typeof text === 'string' ? prefixOf(text) : undefined;
    return cidr ? [{ name, text: String(text), cidr }] : [];
  });
  return nets.flatMap((net, i) => {
    const other = nets.slice(0, i).find((one) => overlap(one.cidr, net.cidr));
    if (!other) return [];
    const both = `${JSON.stringify(net.text)} overlaps ${other.name} "${other.text}"`;
    return [`${net.name}: ${both}; ${APART}`];
  });
}

const overlap = (a: Cidr, b: Cidr): boolean => containsCidr(a, b) || containsCidr(b, a);

function prefixOf(text: string): Cidr | undefined {
  if (new RegExp(IPV4_POOL).test(text)) return parseCidr(text);
  return new RegExp(IPV4_ADDRESS).test(text) ? parseCidr(`${text}/32`) : undefined;
}
