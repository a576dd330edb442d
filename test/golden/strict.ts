// JSON as a strict reader knows it: types of fields, and what is wrong with a value.
import type { Json } from '../../src/base/json.ts';

/** What is wrong with a value at a path, in sentences. */
export type Type = (value: Json, at: string) => readonly string[];

const no = (value: Json, at: string, what: string): readonly string[] => [
  `${at} is ${typeof value === 'string' ? JSON.stringify(value) : String(value)}, not ${what}`,
];
export const matching =
  (what: string, pattern: RegExp): Type =>
  (value, at) =>
    typeof value === 'string' && pattern.test(value) ? [] : no(value, at, what);

export const string = matching('a string', /^/);
export const bool: Type = (value, at) =>
  typeof value === 'boolean' ? [] : no(value, at, 'a bool');
export const int: Type = (value, at) =>
  Number.isSafeInteger(value) ? [] : no(value, at, 'an int');
/** Beyond 2^53 it is a BigInt here, as printed: never an exponent, never a fraction. */
export const uint64: Type = (value, at) =>
  (typeof value === 'bigint' || Number.isSafeInteger(value)) && Number(value) >= 0
    ? []
    : no(value, at, 'a uint64');
export const time = matching('a time in UTC', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
export const seconds = matching(
  'a time in whole seconds, UTC',
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
);
export const uuid = matching('a UUID', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
export const mac = matching('a MAC', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
export const net = matching('a CIDR', /^[0-9a-f.:]+\/\d+$/);
export const word = (...words: readonly string[]): Type =>
  matching(`one of ${words.join(', ')}`, new RegExp(`^(${words.join('|')})$`));
export const orNull =
  (type: Type): Type =>
  (value, at) =>
    value === null ? [] : type(value, at);
export const either =
  (one: Type, other: Type): Type =>
  (value, at) =>
    one(value, at).length === 0 ? [] : other(value, at);
export const list =
  (type: Type): Type =>
  (value, at) =>
    Array.isArray(value)
      ? value.flatMap((each: Json, i) => type(each, `${at}[${i}]`))
      : no(value, at, 'a list');

const isObject = (value: Json): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const map =
  (type: Type): Type =>
  (value, at) =>
    isObject(value)
      ? Object.entries(value).flatMap(([key, each]) => type(each, `${at}.${key}`))
      : no(value, at, 'an object');

/** Fields that end in `!` must be there. */
export function struct(fields: Readonly<Record<string, Type>>): Type {
  const needed = Object.keys(fields).filter((name) => name.endsWith('!'));
  const types = new Map(
    Object.entries(fields).map(([name, type]) => [name.replace('!', ''), type]),
  );
  return (value, at) => {
    if (!isObject(value)) return no(value, at, 'an object');
    const missing = needed.filter((name) => value[name.replace('!', '')] === undefined);
    return [
      ...missing.map((name) => `${at}.${name.replace('!', '')} is missing`),
      ...Object.entries(value).flatMap(([name, each]) => {
        const type = types.get(name);
        return type ? type(each, `${at}.${name}`) : [`${at}.${name} is no field of Calico's`];
      }),
    ];
  };
}
