// Prints an object with marks in it as a Helm template: block YAML whose leaves are JSON. Every
// value passes `toJson`, so none can break out of its place, and no indentation is computed.
import type { Json } from '../../base/json.ts';
import { type Condition, type Loop, partsOf, type Term } from './expr.ts';

/** One object of the chart, under the conditions that it exists only if they hold. */
export function printTemplate(object: Json, conditions: readonly string[]): string {
  const open = conditions.map((condition) => `{{- if ${condition} }}`);
  const close = conditions.map(() => '{{- end }}');
  return `${[...open, ...block(object, ''), ...close].join('\n')}\n`;
}

/** The lines of a map or a list. */
function block(value: Json, pad: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => entry('-', item, pad));
  return Object.entries(value as Record<string, Json>).flatMap(([name, inner]) =>
    entry(`${keyText(name)}:`, inner, pad),
  );
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
