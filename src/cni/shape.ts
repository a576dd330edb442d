// The shape that a JSON object should have, as data: wrong types are told by path, unknown keys are
// named. One walk; what it has passed is read without further checks.
import type { Json } from '../base/json.ts';
import { isObject } from '../model/resource.ts';

export type Fields = { readonly [key: string]: Json };

export type Shape =
  | 'string'
  | 'number'
  | 'boolean'
  /** A boolean, or its text, as Calico's `assign_ipv4` has it. */
  | 'truth'
  /** A list of strings. */
  | 'strings'
  /** A list of anything. */
  | 'list'
  /** An object whose keys belong to somebody else. */
  | 'object'
  | { readonly [key: string]: Shape };

export interface Findings {
  /** `path must be a number, not string 1500`. */
  readonly wrong: readonly string[];
  /** Paths of keys that the shape does not have. */
  readonly unknown: readonly string[];
}

/** null counts as absent, as in Go. */
export function checkShape(
  fields: Fields,
  shape: { readonly [key: string]: Shape },
  path = '',
): Findings {
  const wrong: string[] = [];
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(fields)) {
    const expected = Object.hasOwn(shape, key) ? shape[key] : undefined;
    if (expected === undefined) unknown.push(`${path}${key}`);
    else if (value !== null) {
      const found = checkOne(value, expected, `${path}${key}`);
      wrong.push(...found.wrong);
      unknown.push(...found.unknown);
    }
  }
  return { wrong, unknown };
}

function checkOne(value: Json, expected: Shape, path: string): Findings {
  if (typeof expected === 'object' && isObject(value))
    return checkShape(value, expected, `${path}.`);
  if (holds(value, expected)) return NOTHING;
  return { wrong: [`${path} must be ${wordsOf(expected)}, not ${describe(value)}`], unknown: [] };
}

const NOTHING: Findings = { wrong: [], unknown: [] };

function holds(value: Json, expected: Shape): boolean {
  switch (expected) {
    case 'truth':
      return typeof value === 'boolean' || value === 'true' || value === 'false';
    case 'strings':
      return Array.isArray(value) && value.every((x) => typeof x === 'string');
    case 'list':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'string':
    case 'boolean':
      return typeof value === expected;
    default:
      return false;
  }
}

const WORDS = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  truth: '"true" or "false"',
  strings: 'a list of strings',
  list: 'a list',
  object: 'an object',
} as const;

const wordsOf = (expected: Shape): string =>
  typeof expected === 'string' ? WORDS[expected] : WORDS.object;

const describe = (value: Json): string =>
  Array.isArray(value)
    ? 'a list'
    : isObject(value)
      ? 'an object'
      : `${typeof value} ${String(value).slice(0, 20)}`;

/** Reads fields whose types were checked before. */
export const readerOf = (fields: Fields) => ({
  text: (key: string, otherwise = ''): string => (fields[key] as string | null) ?? otherwise,
  number: (key: string, otherwise: number): number => (fields[key] as number | null) ?? otherwise,
  truth: (key: string, otherwise: boolean): boolean => String(fields[key] ?? otherwise) === 'true',
  texts: (key: string): readonly string[] => (fields[key] as string[] | null) ?? [],
  list: (key: string): readonly Json[] => (fields[key] as Json[] | null) ?? [],
  object: (key: string): Fields => (fields[key] as Fields | null) ?? {},
});
