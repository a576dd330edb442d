// Settings of an installation: what a user writes, laid over the defaults and checked. The rules
// of laying over are Helm's own, so that one file means the same on both roads: maps are merged,
// everything else is replaced, and null takes a default away.
import type { Json } from '../../base/json.ts';
import { defaultsOf } from '../../base/json-schema.ts';
import { fail, type Result } from '../../base/result.ts';
import { isObject } from '../resource.ts';
import { checkValues } from './check.ts';
import { schemaPart, type Values } from './schema.ts';

/** The default of every setting that has one. */
export function defaults(): Values {
  return defaultsOf(schemaPart) as unknown as Values;
}

/** Lays the user's values over the defaults and checks the outcome. Errors: a line per fault. */
export function settingsFrom(user: Json): Result<Values, readonly string[]> {
  if (user !== null && !isObject(user)) return fail(['values: not a map of settings']);
  return checkValues(mergeOver(defaults() as unknown as Json, user ?? {}));
}

/** Any part of the settings, as a program writes it. */
export type Given<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Given<T[K]> }
    : T;

/** The settings that a program writes, over the defaults. Throws an Error with a line per fault. */
export function settingsOf(given: Given<Values> = {}): Values {
  const settings = settingsFrom(given as Json);
  if (!settings.ok) throw new Error(settings.error.join('\n'));
  return settings.value;
}

// Through a Map, so that a key such as `__proto__` stays data and is refused as unknown.
function mergeOver(base: Json, over: Json): Json {
  if (!isObject(base) || !isObject(over)) return over;
  const merged = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const under = merged.get(key);
    if (value === null && under !== undefined) merged.delete(key);
    else merged.set(key, under === undefined ? value : mergeOver(under, value));
  }
  return Object.fromEntries(merged);
}

/** Whether a switch is on. */
export const isOn = (value: boolean | string): boolean =>
  ['on', 'yes', 'true'].includes(String(value).toLowerCase());
