// What an import answers: the values, and what became of everything that was read.
import type { Json } from '../../../base/json.ts';
import { isObject } from '../../resource.ts';

export interface ImportReport {
  /** What to write into a values file of ours. */
  readonly values: Json;
  readonly lines: readonly ReportLine[];
  /** What our own check says of the values; empty when they are good. */
  readonly faults: readonly string[];
}

export interface ReportLine {
  readonly key: string;
  readonly outcome: 'taken' | 'left out' | 'unknown';
  /** Where it went, or why not. */
  readonly words: string;
}

export type Tree = { [key: string]: Json };

/** Puts a value at a path, making the maps on the way. */
export function put(tree: Tree, [key, ...rest]: readonly string[], value: Json): void {
  if (key === undefined) return;
  if (rest.length === 0) {
    tree[key] = value;
    return;
  }
  const inner = isObject(tree[key] ?? null) ? (tree[key] as Tree) : {};
  tree[key] = inner;
  put(inner, rest, value);
}
