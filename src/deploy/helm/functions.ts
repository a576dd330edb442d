// Functions for constructs: each computes on plain values and writes a Go term on expressions.
// JavaScript's own `?:`, `&&`, `+` see only an object where an expression stands, so constructs
// use these instead; the property test (helm template equals synth) finds what slips through.

import { hex } from '../../base/hash.ts';
import type { Json } from '../../base/json.ts';
import { Expr, go, goOf, type Of } from './expr.ts';
import { printGoJson } from './go-json.ts';
import type { Scalar } from './reading.ts';

/** A map of texts, numbers and switches with free keys; null stands for nothing. */
type Scalars = Readonly<Record<string, Scalar>>;

// JSON drops what is undefined and turns nested expressions into marks.
const asJson = <T>(value: T): Json => JSON.parse(JSON.stringify(value)) as Json;

/** `then` if the condition holds, else `otherwise` (nothing when left out). */
export function when<A>(condition: Of<boolean>, then: A): Of<A> | undefined;
export function when<A, B>(condition: Of<boolean>, then: A, otherwise: B): Of<A | B>;
export function when<A, B>(condition: Of<boolean>, then: A, otherwise?: B): Of<A | B> | undefined {
  if (!(condition instanceof Expr)) return condition ? then : otherwise;
  const branches = {
    yes: asJson(then),
    ...(otherwise === undefined ? {} : { no: asJson(otherwise) }),
  };
  return new Expr({ if: goOf(condition), ...branches });
}

/** Chooses between two values that are single terms, for use inside other terms. */
export function choose<T extends string | number>(
  condition: Of<boolean>,
  then: Of<T>,
  otherwise: Of<T>,
): Of<T> {
  if (!(condition instanceof Expr)) return condition ? then : otherwise;
  return go(`(ternary ${literal(then)} ${literal(otherwise)} ${goOf(condition)})`);
}

const literal = (value: Of<string | number>): string =>
  value instanceof Expr ? goOf(value) : JSON.stringify(value);

/** The parts as one text, as a single term (unlike a template literal). */
export function join(...parts: readonly Of<string | number>[]): Of<string> {
  if (!parts.some((part) => part instanceof Expr)) return parts.join('');
  return go(`(printf "${'%v'.repeat(parts.length)}" ${parts.map(literal).join(' ')})`);
}

/** Whether both are the same. */
export function eq<T extends string | number>(a: Of<T>, b: NoInfer<T>): Of<boolean> {
  return a instanceof Expr ? go(`(eq ${goOf(a)} ${literal(b)})`) : a === b;
}

/** The negation. */
export function not(a: Of<boolean>): Of<boolean> {
  return a instanceof Expr ? go(`(not ${goOf(a)})`) : !a;
}

/** Whether both hold. */
export function and(a: Of<boolean>, b: Of<boolean>): Of<boolean> {
  if (!(a instanceof Expr)) return a ? b : false;
  if (!(b instanceof Expr)) return b ? a : false;
  return go(`(and ${goOf(a)} ${goOf(b)})`);
}

/** Whether one of them holds. */
export function or(a: Of<boolean>, b: Of<boolean>): Of<boolean> {
  if (!(a instanceof Expr)) return a ? true : b;
  if (!(b instanceof Expr)) return b ? true : a;
  return go(`(or ${goOf(a)} ${goOf(b)})`);
}

/** `a - n`. */
export function sub(a: Of<number>, n: number): Of<number> {
  return a instanceof Expr ? go(`(sub ${goOf(a)} ${n})`) : a - n;
}

/** A text of digits as a number. */
export function int(a: Of<string>): Of<number> {
  return a instanceof Expr ? go(`(int64 ${goOf(a)})`) : Number(a);
}

/** A text without what matches; the pattern means the same in RE2 and JavaScript. */
export function without(a: Of<string>, pattern: string): Of<string> {
  if (!(a instanceof Expr)) return a.replace(new RegExp(pattern), '');
  return go(`(regexReplaceAll ${literal(pattern)} ${goOf(a)} "")`);
}

/** The value as text. */
export function str(a: Of<string | number | boolean>): Of<string> {
  return a instanceof Expr ? go(`(toString ${goOf(a)})`) : String(a);
}

const ON = ['on', 'yes', 'true'];

/** Whether a switch is on: a boolean, or one of YAML's words for it in any case. */
export function isOn(a: Of<boolean | string>): Of<boolean> {
  if (!(a instanceof Expr)) return ON.includes(String(a).toLowerCase());
  return go(`(has (lower (toString ${goOf(a)})) (list ${ON.map(literal).join(' ')}))`);
}

/** A list literal without what is switched off; lists inside it are spliced. */
export function list<I>(...items: readonly (I | Of<readonly I[]> | undefined)[]): I[] {
  return items.flatMap((item) => (item === undefined ? [] : (item as I | I[])));
}

/** The map, or an empty one where it is left out. */
export function orEmpty(map: Of<object> | undefined): Of<Scalars> {
  if (map instanceof Expr) return go(`(default (dict) ${goOf(map)})`);
  return (map ?? {}) as Scalars;
}

/** One entry of a map of environment values; `otherwise` when it is absent, null or empty. */
export function entryOf(map: Of<Scalars>, name: string, otherwise: string): Of<string> {
  if (!(map instanceof Expr)) return String(map[name] || otherwise);
  return go(`(toString (default ${literal(otherwise)} (get ${goOf(map)} ${literal(name)})))`);
}

/** An item for every entry that is not null, ordered by name, with the value as text. */
export function eachEntry<I>(
  variable: string,
  map: Of<Scalars>,
  body: (name: Of<string>, value: Of<string>) => I,
): I | Expr<I> | I[] {
  if (!(map instanceof Expr)) {
    const present = Object.entries(map).filter(([, value]) => value !== null);
    return present.sort(byName).map(([name, value]) => body(name, String(value)));
  }
  const [name, value] = [`$${variable}Name`, `$${variable}`];
  // Helm reads integers of a values file as float64, which prints 4200000000 as 4.2e+09.
  const text = `(ternary (toString (int64 ${value})) (toString ${value}) (kindIs "float64" ${value}))`;
  const present = go<boolean>(`(not (kindIs "invalid" ${value}))`);
  const item = asJson(when(present, body(go(name), go(text))));
  return new Expr({ range: goOf(map), variables: `${name}, ${value}`, body: item });
}

/** A list of the settings, spliced into a list literal as it is. */
export function eachOf<I>(variable: string, items: Of<readonly I[]>): I | Expr<I> | readonly I[] {
  if (!(items instanceof Expr)) return items;
  const item = `$${variable}`;
  return new Expr<I>({ range: goOf(items), variables: `$_, ${item}`, body: asJson(go<I>(item)) });
}

/** Whether a list has an item. */
export function some(items: Of<readonly unknown[]>): Of<boolean> {
  return items instanceof Expr ? go(`(not (empty ${goOf(items)}))`) : items.length > 0;
}

/** A field's name and a pattern (RE2 and JavaScript alike) for the whole of its text. */
type FieldPattern = readonly [name: string, pattern: string];

/**
 * Whether an object of a list has texts that match; `first`'s name sorts before `second`'s. The objects
 * hold scalars and lists of words, nothing deeper.
 */
export function someWith(
  items: Of<readonly object[]>,
  [first, second]: readonly [FieldPattern, FieldPattern],
): Of<boolean> {
  if (!(items instanceof Expr)) {
    const has = (item: object, [name, pattern]: FieldPattern): boolean =>
      new RegExp(`^(${pattern})$`).test(String((item as Record<string, string>)[name] ?? ''));
    return items.some((item) => has(item, first) && has(item, second));
  }
  const field = ([name, pattern]: FieldPattern): string => `"${name}":"(${pattern})"`;
  const pattern = `${field(first)}(,"[A-Za-z]+":${JSON_SCALAR})*,${field(second)}`;
  return go(`(regexMatch ${literal(pattern)} (toJson ${goOf(items)}))`);
}

/** A text, a list of words, a number or a truth. */
const JSON_SCALAR = '("([^"\\\\]|\\\\.)*"|\\[[^\\]]*\\]|[a-z0-9.]+)';

/** `{name}` for every name of a list. */
export function eachNamed(
  variable: string,
  names: Of<readonly string[]>,
): Expr<{ readonly name: string }> | readonly { readonly name: string }[] {
  if (!(names instanceof Expr)) return names.map((name) => ({ name }));
  const item = `$${variable}`;
  const body = { name: asJson(go<string>(item)) };
  return new Expr({ range: goOf(names), variables: `$_, ${item}`, body });
}

/** Entries of the settings beside ours, which win. */
export function beside(
  ours: Readonly<Record<string, Of<string>>>,
  theirs: Of<Readonly<Record<string, string>>>,
): Of<Readonly<Record<string, string>>> {
  if (!(theirs instanceof Expr)) return { ...theirs, ...(ours as Record<string, string>) };
  const entries = Object.entries(ours).map(([key, value]) => `${literal(key)} ${literal(value)}`);
  return go(`(merge (dict ${entries.join(' ')}) ${goOf(theirs)})`);
}

/** Settings as one JSON text, byte for byte what Go prints: keys sorted, `<`, `>`, `&` escaped. */
export function json(fields: Readonly<Record<string, Of<unknown>>>): Of<string> {
  const entries = Object.entries(fields);
  if (!entries.some(([, value]) => value instanceof Expr)) {
    const present = entries.map(([key, value]) => [key, value ?? null]);
    return printGoJson(asJson(Object.fromEntries(present)));
  }
  const pairs = entries.map(([key, value]) => `${literal(key)} ${goOf(value as Expr<unknown>)}`);
  return go(`(toJson (dict ${pairs.join(' ')}))`);
}

/** A value of the settings as one JSON text, as json() prints it. */
export function jsonOf(value: Of<unknown>): Of<string> {
  return value instanceof Expr ? go(`(toJson ${goOf(value)})`) : printGoJson(asJson(value ?? null));
}

/** Whether a map has no entry, or is none. */
export function isEmpty(map: Of<object | null> | undefined): Of<boolean> {
  if (map instanceof Expr) return go(`(empty ${goOf(map)})`);
  return Object.keys(map ?? {}).length === 0;
}

/** SHA-256 of a text, as hex. */
export function sha256(text: Of<string>): Of<string> {
  return text instanceof Expr ? go(`(sha256sum ${goOf(text)})`) : hex('sha256', text);
}

const byName = (a: [string, Scalar], b: [string, Scalar]): number => (a[0] < b[0] ? -1 : 1);
