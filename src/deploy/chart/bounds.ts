// Bounds of integers as rules of the chart: Helm's own check would name only the bound that was crossed.
// The schema that comes with the chart has them in its descriptions, and names what it knows where a
// name is unknown.
import type { SchemaPart } from '../../base/json-schema.ts';

/** An integer of the settings, or one in every entry of a map of theirs. */
export interface Bounds {
  readonly path: readonly string[];
  /** In each entry of the map at `path`. */
  readonly field?: string;
  readonly minimum: number;
  readonly maximum: number;
}

type Bounded = SchemaPart & { readonly minimum?: number; readonly maximum?: number };

/** The bounds that a template can check: those of what is always there. */
export function boundsOf(part: SchemaPart, path: readonly string[] = []): readonly Bounds[] {
  const own = boundsAt(part);
  if (own) return [{ path, ...own }];
  const { additionalProperties: entry } = part;
  if (typeof entry === 'object')
    return Object.entries(entry.properties ?? {}).flatMap(([field, inner]) => {
      const found = boundsAt(inner);
      return found ? [{ path, field, ...found }] : [];
    });
  return always(part).flatMap(([name, inner]) => boundsOf(inner, [...path, name]));
}

function boundsAt(part: Bounded) {
  const { type, minimum, maximum } = part;
  return type === 'integer' && minimum !== undefined && maximum !== undefined
    ? { minimum, maximum }
    : undefined;
}

const always = ({ type, properties = {}, required = [] }: SchemaPart) =>
  type === 'object' ? Object.entries(properties).filter(([name]) => required.includes(name)) : [];

/** The schema for Helm. */
export function chartSchema(part: SchemaPart): SchemaPart {
  return named(withoutBounds(part));
}

function withoutBounds(part: SchemaPart): SchemaPart {
  if (boundsAt(part)) return told(part);
  const { additionalProperties: entry, properties } = part;
  if (typeof entry === 'object') {
    const fields = mapped(entry.properties, (inner) => (boundsAt(inner) ? told(inner) : inner));
    return entry.properties
      ? { ...part, additionalProperties: { ...entry, properties: fields } }
      : part;
  }
  if (!properties || part.type !== 'object') return part;
  const names = always(part).map(([name]) => name);
  const inner = mapped(properties, (one, name) =>
    names.includes(name) ? withoutBounds(one) : one,
  );
  return { ...part, properties: inner };
}

function told({ minimum, maximum, description, ...part }: Bounded): SchemaPart {
  const range = `${minimum} to ${maximum}`;
  return { ...part, description: description ? `${description} (${range})` : range };
}

/** Closed objects say which names they know: Helm prints the text that would have to stand there. */
function named(part: SchemaPart): SchemaPart {
  const { properties, patternProperties, additionalProperties, items } = part;
  const known = [
    ...Object.keys(properties ?? {}),
    ...Object.keys(patternProperties ?? {}).map((one) => one.replace(/^\^|\$$/g, '')),
  ];
  const isClosed = additionalProperties === false && known.length > 0;
  return {
    ...part,
    ...(properties && { properties: mapped(properties, named) }),
    ...(items && { items: named(items) }),
    ...(typeof additionalProperties === 'object' && {
      additionalProperties: named(additionalProperties),
    }),
    ...(isClosed && { additionalProperties: nothing(known) }),
  };
}

// Not even that text is taken.
const nothing = (known: readonly string[]) => ({
  const: `left out: there is no such setting; known here: ${known.join(', ')}`,
  maxLength: 0,
});

const mapped = (
  parts: Readonly<Record<string, SchemaPart>> = {},
  change: (part: SchemaPart, name: string) => SchemaPart,
): Readonly<Record<string, SchemaPart>> =>
  Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, change(part, name)]));
