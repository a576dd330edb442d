// A JSON Schema as far as its walkers need to know it: defaults, settings one by one, expressions.
import type { Json } from './json.ts';

/** A piece of a schema. */
export interface SchemaPart {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: Json;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaPart>>;
  readonly patternProperties?: Readonly<Record<string, SchemaPart>>;
  readonly additionalProperties?: boolean | SchemaPart;
  readonly items?: SchemaPart;
  readonly const?: Json;
  readonly maxLength?: number;
}

/** One setting: its path and the schema of it. */
export interface Leaf {
  readonly path: readonly string[];
  readonly part: SchemaPart;
}

/** Every setting of the schema, in its order. */
export function leavesOf(part: SchemaPart, path: readonly string[] = []): readonly Leaf[] {
  if (!part.properties) return [{ path, part }];
  return Object.entries(part.properties).flatMap(([name, inner]) =>
    leavesOf(inner, [...path, name]),
  );
}

/** The default of every setting that has one; a section that may be null has none. */
export function defaultsOf(part: SchemaPart): Json | undefined {
  if (part.type !== 'object' || !part.properties) return part.default;
  const entries = Object.entries(part.properties).flatMap(([name, inner]) => {
    const value = defaultsOf(inner);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries);
}
