// Texts made of the schema: values.yaml with a description above every setting, and the table of
// the chart's README. Both carry the form that helm-docs reads.
import { Document, isMap, isScalar, type Pair, type YAMLMap } from 'yaml';
import type { SchemaPart } from '../../model/settings/schema.ts';
import { defaults } from '../../model/settings/settings.ts';

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

/** values.yaml: the defaults, each below its description. */
export function printValues(schema: SchemaPart): string {
  const document = new Document(defaults(), { version: '1.1' });
  document.commentBefore = ' Settings of calico-kit. Keys that are left out keep these values.';
  for (const { path, part } of leavesOf(schema)) {
    const pair = pairAt(document.contents as YAMLMap, path);
    if (pair && isScalar(pair.key)) pair.key.commentBefore = ` -- ${part.description ?? ''}`;
  }
  return document.toString({ lineWidth: 0 });
}

function pairAt(map: YAMLMap, path: readonly string[]): Pair | undefined {
  const [name, ...rest] = path;
  const pair = map.items.find((item) => isScalar(item.key) && item.key.value === name);
  if (rest.length === 0 || !pair) return pair;
  return isMap(pair.value) ? pairAt(pair.value, rest) : undefined;
}

/** A Markdown table of every setting. */
export function printTable(schema: SchemaPart): string {
  const rows = leavesOf(schema).map(({ path, part }) => {
    const type = [part.type ?? 'any'].flat().join(' or ');
    const shown = part.default === undefined ? '' : `\`${JSON.stringify(part.default)}\``;
    const choice = part.enum ? ` (${part.enum.join(', ')})` : '';
    return `| \`${path.join('.')}\` | ${type} | ${shown} | ${part.description ?? ''}${choice} |`;
  });
  return ['| Key | Type | Default | Description |', '|---|---|---|---|', ...rows].join('\n');
}
