// JSON as Go prints it, so that a text made of the settings is the same on both roads.
import type { Json } from '../../base/json.ts';

const ESCAPED = /[<>&\u2028\u2029]/g;
const escaped = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Keys sorted by their bytes, no white space, `<`, `>` and `&` escaped; null for what is absent. */
export function printGoJson(value: Json | undefined): string {
  if (value === undefined || value === null) return 'null';
  if (typeof value === 'string') return printText(value);
  if (Array.isArray(value)) return `[${value.map(printGoJson).join(',')}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => byBytes(a, b));
  return `{${entries.map(([key, inner]) => `${printText(key)}:${printGoJson(inner)}`).join(',')}}`;
}

// The order of code points is that of their UTF-8.
function byBytes(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  const at = left.findIndex((character, i) => character !== right[i]);
  if (at < 0) return left.length - right.length;
  return (left[at]!.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? -1);
}

const printText = (text: string): string => JSON.stringify(text).replace(ESCAPED, escaped);
