// Texts made of the schema: values.yaml with a description above every setting, and the table of
// the chart's README. Both carry the form that helm-docs reads.
import { Document, isMap, isScalar, type Pair, type YAMLMap } from 'yaml';
import { defaultsOf, type Leaf, leavesOf, type SchemaPart } from '../../base/json-schema.ts';

/** values.yaml: the defaults, each below its description; `title` goes above them all. */
export function printValues(schema: SchemaPart, title: string): string {
  const document = new Document(defaultsOf(schema), { version: '1.1' });
  document.commentBefore = ` ${title}`;
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

/** A Markdown table of every setting; of objects in lists the fields that are described, as `list[].field`. */
export function printTable(schema: SchemaPart): string {
  const rows = leavesOf(schema).flatMap(withItems).map(row);
  return ['| Key | Type | Default | Description |', '|---|---|---|---|', ...rows].join('\n');
}

function row({ path, part }: Leaf): string {
  const type = [part.type ?? 'any'].flat().join(' or ');
  const shown = part.default === undefined ? '' : `\`${JSON.stringify(part.default)}\``;
  const choice = part.enum ? ` (${part.enum.join(', ')})` : '';
  return `| \`${path.join('.')}\` | ${type} | ${shown} | ${part.description ?? ''}${choice} |`;
}

function withItems(leaf: Leaf): readonly Leaf[] {
  const { path, part } = leaf;
  if (!part.items?.properties) return [leaf];
  const item = [...path.slice(0, -1), `${path.at(-1)}[]`];
  const fields = leavesOf(part.items, item).filter((field) => field.part.description);
  return [leaf, ...fields.flatMap(withItems)];
}
