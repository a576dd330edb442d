// The commonest rules: a text must match a pattern, and names.
import type { EachRule, PatternRule } from './rules.ts';

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

/** Names of objects in the datastore, in a field of every object of a list. */
export const names = (path: string, field: string, example: string): EachRule => ({
  kind: 'each',
  path: path.split('.'),
  field: field.split('.'),
  pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
  wanted: 'a name (lower-case letters, digits, - and .)',
  example,
});
