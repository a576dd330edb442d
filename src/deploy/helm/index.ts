// The token layer: constructs that are read with plain values and with Helm's expressions.

export type { SchemaPart } from '../../base/json-schema.ts';
export { type Context, helmContext, plainContext, type Surroundings } from './context.ts';
export { each, given } from './each.ts';
export { Expr, go, type Of } from './expr.ts';
export * from './functions.ts';
export { nameOf, recommendedLabels, selectorLabels } from './labels.ts';
export { type ChartMeta, type ChartParts, chartOf } from './package.ts';
export { type Cfg, expressions, Marks, only } from './reading.ts';
export { printTemplate } from './template.ts';
export { printTable, printValues } from './values-text.ts';
