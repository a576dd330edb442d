// The type of the settings as an editor shows it: every setting with its description and its default, out
// of the schema. In the sources the type follows from the schema itself, which carries no comments.
import type { SchemaPart } from '../../src/base/json-schema.ts';

const INDENT = '  ';

/** A declaration file with `Values`. */
export const valuesTypes = (schema: SchemaPart): string =>
  `/** What may stand free: numbers and switches reach the environment as text, null leaves a variable out. */
type EnvironmentValue = string | number | boolean | null;

/** All settings, checked, with their defaults: those of values.yaml of the Helm chart. */
export type Values = ${typeOf(schema, '')};
`;

function typeOf(part: SchemaPart, indent: string): string {
  if (part.enum) return part.enum.map((word) => JSON.stringify(word)).join(' | ');
  const types = [part.type ?? []].flat();
  if (types.length === 0) return 'unknown';
  return types.map((type) => typeNamed(type, part, indent)).join(' | ');
}

function typeNamed(type: string, part: SchemaPart, indent: string): string {
  switch (type) {
    case 'integer':
      return 'number';
    case 'array':
      return `readonly (${part.items ? typeOf(part.items, indent) : 'unknown'})[]`;
    case 'object':
      return objectOf(part, indent);
    default:
      return type;
  }
}

function objectOf(part: SchemaPart, indent: string): string {
  const { additionalProperties: entry, patternProperties, properties } = part;
  if (typeof entry === 'object') return `Readonly<Record<string, ${typeOf(entry, indent)}>>`;
  const [free] = Object.values(patternProperties ?? {});
  if (!properties) return `Readonly<Record<string, ${free ? typeOf(free, indent) : 'any'}>>`;
  const inner = `${indent}${INDENT}`;
  const fields = Object.entries(properties).map(([name, field]) => {
    const isOptional = !part.required?.includes(name);
    const type = typeOf(field, inner);
    return `${commentOf(field, inner)}${inner}readonly ${name}${isOptional ? '?' : ''}: ${type};\n`;
  });
  const map = `{\n${fields.join('')}${indent}}`;
  return patternProperties ? `Readonly<Record<string, EnvironmentValue>> & ${map}` : map;
}

function commentOf({ description, default: value, ...part }: SchemaPart, indent: string): string {
  const { minimum, maximum } = part as { readonly minimum?: number; readonly maximum?: number };
  const said = [
    ...(description ? [`${description}.`] : []),
    ...(minimum === undefined || maximum === undefined ? [] : [`${minimum} to ${maximum}.`]),
    ...(value === undefined ? [] : [`@default ${JSON.stringify(value)}`]),
  ];
  // An end of a comment inside one would end it.
  return said.length > 0 ? `${indent}/** ${said.join(' ').replaceAll('*/', '*\\/')} */\n` : '';
}
