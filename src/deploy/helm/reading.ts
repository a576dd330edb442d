// The two readings of the values, and the two things that cdk8s needs for the second one.
import type { IResolver, ResolutionContext } from 'cdk8s';
import { Construct } from 'constructs';
import type { SchemaPart } from '../../base/json-schema.ts';
import { Expr, type Of } from './expr.ts';

/** What a leaf may hold. */
export type Scalar = string | number | boolean | null;

/**
 * Values as constructs take them: every leaf is a value or an expression, and so is every list,
 * every map with free keys and every section that may be null. Plain values are of this type as
 * they are.
 */
export type Cfg<T> = [T] extends [Scalar | undefined]
  ? Of<T>
  : [T] extends [readonly unknown[]]
    ? Of<T>
    : null extends T
      ? Of<T>
      : string extends keyof T
        ? Of<T>
        : { readonly [K in keyof T]: Cfg<T[K]> };

/** The chart's reading: the schema's tree with an expression at every leaf. */
export function expressions<T>(schema: SchemaPart): Cfg<T> {
  return expressionsAt(schema, '$.Values') as Cfg<T>;
}

export type Tree = Expr<unknown> | { readonly [name: string]: Tree };

/** The same below another term, such as the variable of a loop. */
export function expressionsAt(part: SchemaPart, path: string): Tree {
  if (part.type === 'object' && part.properties && !part.patternProperties) {
    const entries = Object.entries(part.properties);
    return Object.fromEntries(
      entries.map(([name, inner]) => [name, expressionsAt(inner, `${path}.${name}`)]),
    );
  }
  // Helm reads the integers of a values file as float64.
  return new Expr({ go: part.type === 'integer' ? `(int64 ${path})` : path }, part.items);
}

/** Everything under it exists only where the condition holds. */
export class Gate extends Construct {
  readonly condition: Expr<boolean>;

  constructor(scope: Construct, id: string, condition: Expr<boolean>) {
    super(scope, id);
    this.condition = condition;
  }
}

/** Builds objects that exist only if the condition holds. */
export function only(
  scope: Construct,
  id: string,
  condition: Of<boolean>,
  build: (scope: Construct) => void,
): void {
  if (condition instanceof Expr) build(new Gate(scope, id, condition));
  else if (condition) build(new Construct(scope, id));
}

/** Lets expressions through cdk8s as marks: `new App({ resolvers: [new Marks()] })`. */
export class Marks implements IResolver {
  resolve(context: ResolutionContext): void {
    if (context.value instanceof Expr) context.replaceValue(context.value.toString());
  }
}
