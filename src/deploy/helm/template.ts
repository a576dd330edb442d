// Prints an object with marks in it as a Helm template: block YAML whose leaves are JSON. Every
// value passes `toJson`, so none can break out of its place, and no indentation is computed.
import type { Json } from '../../base/json.ts';
import { type Condition, type Loop, partsOf, type Term } from './expr.ts';

/**
 * One object of the chart, under the conditions that it exists only if they hold. The path of its
 * construct stands above it as a comment, so that a rendered object leads back to the source.
 */
export function printTemplate(object: Json, conditions: readonly string[], path?: string): string {
  const open = conditions.map((condition) => `{{- if ${condition} }}`);
  const comment = path === undefined ? [] : [`# Construct: ${commentText(path)}`];
  const close = conditions.map(() => '{{- end }}');
  return `${[...open, ...comment, ...block(object, ''), ...close].join('\n')}\n`;
}

const commentText = (text: string) => text.replaceAll(/[\r\n]/g, ' ').replaceAll('{{', '{ {');

/** The lines of a map or a list. */
function block(value: Json, pad: string): string[] {
  const entries: readonly (readonly [string, Json])[] = Array.isArray(value)
    ? value.map((item) => ['-', item] as const)
    : Object.entries(value as Record<string, Json>).map(([name, inner]) => [
        `${keyText(name)}:`,
        inner,
      ]);
  const lines = entries.flatMap(([label, inner]) => entry(label, inner, pad));
  if (entries.length === 0 || !entries.every(([, inner]) => mayVanish(inner))) return lines;
  // With nothing below it the key above would be null: a variable keeps whether anything came.
  const some = `$some${pad.length}`;
  const starts = entries.map(([label]) => pad + label);
  return [
    `${pad}{{- ${some} := false }}`,
    ...lines.map((line) =>
      starts.some((start) => line.startsWith(start)) ? `${line}{{ ${some} = true }}` : line,
    ),
    `${pad}{{- if not ${some} }}`,
    `${pad}${Array.isArray(value) ? '[]' : '{}'}`,
    `${pad}{{- end }}`,
  ];
}

/** Whether an entry may be nothing at all: a loop, or a condition without an `else`. */
function mayVanish(item: Json): boolean {
  const [term, ...rest] = typeof item === 'string' ? partsOf(item) : [];
  if (typeof term !== 'object' || rest.length > 0) return false;
  return 'range' in term || ('if' in term && term.no === undefined);
}

const keyText = (name: string) => (/^[A-Za-z_][\w./-]*$/.test(name) ? name : literal(name));

/** One entry of a map (`label` is `key:`) or of a list (`label` is `-`). */
function entry(label: string, value: Json, pad: string): string[] {
  if (typeof value === 'string') return textEntry(label, value, pad);
  if (value === null || typeof value !== 'object') return [`${pad}${label} ${literal(value)}`];
  const empty = Array.isArray(value) ? '[]' : '{}';
  if (Object.keys(value).length === 0) return [`${pad}${label} ${empty}`];
  return [`${pad}${label}`, ...block(value, `${pad}  `)];
}

function textEntry(label: string, text: string, pad: string): string[] {
  const parts = partsOf(text);
  const [only] = parts;
  if (parts.length !== 1 || typeof only !== 'object') return [`${pad}${label} ${leaf(parts)}`];
  if ('if' in only) return conditional(label, only, pad);
  if ('range' in only) return loop(label, only, pad);
  return [`${pad}${label} {{ ${only.go} | toJson }}`];
}

function conditional(label: string, term: Condition, pad: string): string[] {
  const otherwise =
    term.no === undefined ? [] : [`${pad}{{- else }}`, ...entry(label, term.no, pad)];
  return [
    `${pad}{{- if ${term.if} }}`,
    ...entry(label, term.yes, pad),
    ...otherwise,
    `${pad}{{- end }}`,
  ];
}

function loop(label: string, term: Loop, pad: string): string[] {
  const range = `{{- range ${term.variables} := ${term.range} }}`;
  // Inside a list the items are spliced into it.
  if (label === '-') return [pad + range, ...entry('-', term.body, pad), `${pad}{{- end }}`];
  throw new TypeError('a loop stands inside a list literal, so that an empty one is not null');
}

function leaf(parts: readonly (string | Term)[]): string {
  if (parts.every((part) => typeof part === 'string')) return literal(parts.join(''));
  const terms = parts.map((part) => {
    if (typeof part === 'string') return JSON.stringify(part);
    if ('go' in part) return part.go;
    throw new TypeError('a condition or loop inside a text: use choose()');
  });
  return `{{ printf "${'%v'.repeat(parts.length)}" ${terms.join(' ')} | toJson }}`;
}

// Braces that are data must not start an action.
const literal = (value: Json) => JSON.stringify(value).replaceAll('{{', '{{"{{"}}');
