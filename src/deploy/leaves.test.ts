// Every setting does something: another value gives other objects, whatever else must be on for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Json } from '../base/json.ts';
import { type Leaf, leavesOf } from '../base/json-schema.ts';
import { isObject } from '../model/resource.ts';
import { schemaPart, type Values } from '../model/settings/schema.ts';
import { settingsFrom } from '../model/settings/settings.ts';
import { examples } from './chart/examples.ts';
import { allManifests } from './manifests.ts';

/** What has one value that is allowed. */
const FIXED = ['conf.node.FELIX_HEALTHENABLED'];

const printed = (values: Json): string => JSON.stringify(allManifests(values as unknown as Values));

/** Settings among which each one counts somewhere. */
const bases = [{}, ...Object.values(examples).map((text) => parse(text) as Json)].map((user) => {
  const settings = settingsFrom(user);
  assert.ok(settings.ok);
  const values = settings.value as unknown as Json;
  return { values, before: printed(values) };
});

/** Other values of the right type; what the rules say of them matters to no object. */
function others({ part }: Leaf, now: Json | undefined): readonly Json[] {
  if (part.enum) return part.enum.filter((word) => word !== now);
  const types = [part.type ?? 'string'].flat();
  if (typeof now === 'boolean' || types.join() === 'boolean') return [now !== true];
  if (types.includes('integer') && types.length === 1) return [Number(now ?? 0) + 1];
  if (types.includes('array')) return [[{ name: 'other' }], ['other']];
  if (types.includes('object')) return [{ other: 'value' }, { imageRegistry: 'other.example' }];
  return ['other', 'off', '17'];
}

const at = (values: Json | undefined, [name, ...rest]: readonly string[]): Json | undefined => {
  if (name === undefined) return values;
  return isObject(values ?? null) ? at((values as Record<string, Json>)[name], rest) : undefined;
};

const withOther = (values: Json | undefined, path: readonly string[], other: Json): Json => {
  const [name, ...rest] = path;
  if (name === undefined) return other;
  const map = (isObject(values ?? null) ? values : {}) as Record<string, Json>;
  return { ...map, [name]: withOther(map[name], rest, other) };
};

/** Whether any other value of a setting gives other objects. */
const reaches = (leaf: Leaf): boolean =>
  bases.some(({ values, before }) =>
    others(leaf, at(values, leaf.path)).some(
      (other) => printed(withOther(values, leaf.path, other)) !== before,
    ),
  );

test('every setting reaches an object', () => {
  const idle = leavesOf(schemaPart).filter((leaf) => !reaches(leaf));
  assert.deepEqual(
    idle.map(({ path }) => path.join('.')),
    FIXED,
  );
});
