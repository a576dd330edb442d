// Reading a stored spec field by field: each reader answers the field's typed value, or undefined
// when it is absent, and writes down what is wrong with it. Go writers leave out what is empty, so
// that an empty text or list and null count as absent. Fields nobody asks for are ignored.
import type { Json } from '../../base/json.ts';
import { type Asn, parseAsn } from '../../net/asn.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import { isObject } from '../resource.ts';
import { parseSelector } from '../selector/parse.ts';
import { describeSelectorError, type Selector } from '../selector/selector.ts';

/** An object that is being read. */
export interface Fields {
  readonly object: Readonly<Record<string, Json>>;
  /** Where it stands, `exportV4[0]`; empty at the top. */
  readonly path: string;
  /** Shared by all that is read of one spec; grows. */
  readonly problems: string[];
}

/** Begins to read a spec. */
export const fieldsOf = (spec: Json, problems: string[], path = ''): Fields => {
  if (!isObject(spec)) problems.push(`${path || 'spec'} is not an object`);
  return { object: isObject(spec) ? spec : {}, path, problems };
};

export const nameOf = ({ path }: Fields, field: string): string =>
  path ? `${path}.${field}` : field;

const isAbsent = (value: Json | undefined): boolean =>
  value === undefined || value === null || value === '';

/** A value turned into its type by `parse`, which answers undefined for what it cannot use. */
export function parsed<T>(
  fields: Fields,
  field: string,
  wanted: string,
  parse: (value: Json) => T | undefined,
): T | undefined {
  const value = fields.object[field];
  if (value === undefined || isAbsent(value)) return undefined;
  const good = parse(value);
  if (good === undefined)
    fields.problems.push(`${nameOf(fields, field)}: '${String(value)}' is no ${wanted}`);
  return good;
}

export const text = (fields: Fields, field: string): string | undefined =>
  parsed(fields, field, 'text', (v) => (typeof v === 'string' ? v : undefined));

export const flag = (fields: Fields, field: string): boolean | undefined =>
  parsed(fields, field, 'true or false', (v) => (typeof v === 'boolean' ? v : undefined));

export function whole(fields: Fields, field: string, min: number, max: number): number | undefined {
  const within = (v: Json): v is number =>
    typeof v === 'number' && Number.isInteger(v) && v >= min && v <= max;
  const wanted = `whole number from ${min} to ${max}`;
  return parsed(fields, field, wanted, (v) => (within(v) ? v : undefined));
}

/** One of these words. */
export const word = <const W extends string>(
  fields: Fields,
  field: string,
  words: readonly W[],
): W | undefined =>
  parsed(fields, field, `one of ${words.join(', ')}`, (v) => words.find((known) => known === v));

export const asn = (fields: Fields, field: string): Asn | undefined =>
  parsed(fields, field, 'AS number', asnOf);

export const asnOf = (value: Json): Asn | undefined =>
  typeof value === 'number' || typeof value === 'string' ? parseAsn(value) : undefined;

export const address = (fields: Fields, field: string): Ip | undefined =>
  parsed(fields, field, 'address', (v) => (typeof v === 'string' ? parseIp(v) : undefined));

export const prefix = (fields: Fields, field: string): Cidr | undefined =>
  parsed(fields, field, 'CIDR', (v) => (typeof v === 'string' ? parseCidr(v) : undefined));

/** A Go duration (`90s`, `1m30s`) in whole seconds. */
export function seconds(fields: Fields, field: string): number | undefined {
  const parse = (v: Json) => (typeof v === 'string' ? secondsOf(v) : undefined);
  return parsed(fields, field, 'duration in whole seconds such as 120s', parse);
}

const SECONDS_OF: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };

function secondsOf(duration: string): number | undefined {
  if (!/^(\d+[hms])+$/.test(duration)) return undefined;
  return (duration.match(/\d+[hms]/g) ?? []).reduce(
    (sum, part) => sum + Number(part.slice(0, -1)) * SECONDS_OF[part.at(-1)!]!,
    0,
  );
}

/** A label selector. */
export function selector(fields: Fields, field: string): Selector | undefined {
  const source = text(fields, field);
  if (source === undefined) return undefined;
  const result = parseSelector(source);
  if (result.ok) return result.value;
  fields.problems.push(`${nameOf(fields, field)}: ${describeSelectorError(source, result.error)}`);
  return undefined;
}

/** A list; `read` answers undefined for an item that it has named as a problem. */
export function list<T>(
  fields: Fields,
  field: string,
  read: (item: Json, path: string) => T | undefined,
): readonly T[] | undefined {
  const value = fields.object[field];
  if (value === undefined || isAbsent(value)) return undefined;
  if (!Array.isArray(value)) {
    fields.problems.push(`${nameOf(fields, field)} is no list`);
    return undefined;
  }
  return value
    .map((item, i) => read(item, `${nameOf(fields, field)}[${i}]`))
    .filter((item) => item !== undefined);
}

/** A list of which each item is turned into its type by `parse`. */
export const listOf = <T>(
  fields: Fields,
  field: string,
  wanted: string,
  parse: (value: Json) => T | undefined,
): readonly T[] | undefined =>
  list(fields, field, (item, path) => {
    const good = parse(item);
    if (good === undefined) fields.problems.push(`${path}: '${String(item)}' is no ${wanted}`);
    return good;
  });

/** A list of objects. */
export const objects = <T>(
  fields: Fields,
  field: string,
  read: (item: Fields) => T | undefined,
): readonly T[] | undefined =>
  list(fields, field, (item, path) => read(fieldsOf(item, fields.problems, path)));

/** A nested object. */
export function nested(fields: Fields, field: string): Fields | undefined {
  const value = fields.object[field];
  return value === undefined || value === null
    ? undefined
    : fieldsOf(value, fields.problems, nameOf(fields, field));
}

/** The object without its undefined fields. */
export const withoutAbsent = <T extends object>(object: T): Present<T> =>
  Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined)) as Present<T>;

export type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
