// The commonest rule: a text must match a pattern.
import type { PatternRule } from './rules.ts';

/** `wanted`: what a good value is, after "is not". */
export const pattern = (
  path: string,
  expression: string,
  wanted: string,
  example: string,
): PatternRule => ({
  kind: 'pattern',
  path: path.split('.'),
  pattern: expression,
  wanted,
  example,
});
