// Loops over lists of objects, and whether a value is there at all.
import type { Json } from '../../base/json.ts';
import { Expr, go, goOf, type Of } from './expr.ts';
import { type Cfg, expressionsAt } from './reading.ts';

// How many loops the present one stands in: each has a variable of its own.
let depth = 0;

/**
 * One item for every item of a list of the values, to be spliced into a list: `list(each(peers, f))`.
 * The schema of the list says which fields an item has.
 */
export function each<I, O>(items: Of<readonly I[]>, body: (item: Cfg<I>) => O): Of<readonly O[]> {
  if (!(items instanceof Expr)) return items.map((item) => body(item as Cfg<I>));
  const variable = `$item${depth || ''}`;
  depth += 1;
  try {
    const made = body(expressionsAt(items.items ?? {}, variable) as Cfg<I>);
    // JSON turns nested expressions into marks.
    const text = JSON.parse(JSON.stringify(made)) as Json;
    return new Expr<readonly O[]>({ range: goOf(items), variables: `$_, ${variable}`, body: text });
  } finally {
    depth -= 1;
  }
}

/** Whether an optional value is there: neither left out nor null. */
export function given(value: Of<unknown>): Of<boolean> {
  if (!(value instanceof Expr)) return value !== undefined && value !== null;
  // The number that Go makes of nothing is 0: the question is put to the value itself.
  const own = /^\(int64 (.*)\)$/.exec(goOf(value))?.[1] ?? goOf(value);
  return go(`(not (kindIs "invalid" ${own}))`);
}
