// The constructs are read twice: with plain values (cdk8s synth) and with expressions (the Helm
// chart). An expression holds a Go-template term in place of a value. It travels through cdk8s,
// which carries only strings, as a mark: the term's own text between two control characters, so
// that no table of expressions has to be kept anywhere.
import type { Json } from '../../base/json.ts';
import type { SchemaPart } from '../../base/json-schema.ts';

/** What stands in a template at this place. */
export type Term = Value | Condition | Loop;

export interface Value {
  readonly go: string;
}

export interface Condition {
  readonly if: string;
  readonly yes: Json;
  readonly no?: Json;
}

export interface Loop {
  readonly range: string;
  readonly variables: string;
  readonly body: Json;
}

const EDGE = '\u0001';

/** A value that is known only when Helm renders the chart. */
export class Expr<T> {
  declare readonly valueType: T;
  readonly term: Term;
  /** Of a list: the schema of its items, by which a loop knows their fields. */
  readonly items: SchemaPart | undefined;

  constructor(term: Term, items?: SchemaPart) {
    this.term = term;
    this.items = items;
    // `{ ...labels }` of an expression would quietly copy its insides.
    Object.defineProperty(this, 'spread', {
      enumerable: true,
      get() {
        throw new TypeError(`${JSON.stringify(term)} is no map yet: use beside(), or a patch`);
      },
    });
  }

  /** The mark; lets `${settings.port}` work in both readings. */
  toString(): string {
    return EDGE + JSON.stringify(this.term) + EDGE;
  }

  toJSON(): string {
    return this.toString();
  }

  // `mtu - 50` does not compile; where it is forced past the compiler, it ends here.
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.toString();
    throw new TypeError(`${JSON.stringify(this.term)} has no value yet: use sub(), eq(), when()`);
  }
}

/** A value in one reading, an expression in the other. */
export type Of<T> = T | Expr<T>;

/** An expression of a plain Go term. */
export const go = <T>(text: string): Expr<T> => new Expr<T>({ go: text });

/** The Go term of an expression that is one; conditions and loops are none. */
export function goOf(expression: Expr<unknown>): string {
  const { term } = expression;
  if ('go' in term) return term.go;
  throw new TypeError(`${JSON.stringify(term)} is no single term`);
}

/** Whether a text holds an expression. */
export const isMarked = (text: string): boolean => text.includes(EDGE);

/** A text with marks in it, as its literal parts and its terms. */
export function partsOf(text: string): readonly (string | Term)[] {
  return text
    .split(EDGE)
    .map((part, index) => (index % 2 === 1 ? (JSON.parse(part) as Term) : part))
    .filter((part) => part !== '');
}
