// Tree -> canonical text. It is hashed into ip set names, so every character counts.
import { assertNever } from '../../base/assert.ts';
import type { Comparison, Selector } from './selector.ts';

const OPERATORS: Readonly<Record<Comparison, string>> = {
  equals: '==',
  notEquals: '!=',
  contains: 'contains',
  startsWith: 'starts with',
  endsWith: 'ends with',
};

/** The one text of a selector; parses back to the same tree. */
export function printSelector(selector: Selector): string {
  switch (selector.kind) {
    case 'all':
    case 'global':
      return `${selector.kind}()`;
    case 'has':
      return `has(${selector.label})`;
    case 'not':
      return `!${printSelector(selector.term)}`;
    case 'and':
      return `(${selector.terms.map(printSelector).join(' && ')})`;
    case 'or':
      return `(${selector.terms.map(printSelector).join(' || ')})`;
    case 'in':
      return `${selector.label} in {${selector.values.map(quote).join(', ')}}`;
    case 'notIn':
      return `${selector.label} not in {${selector.values.map(quote).join(', ')}}`;
    case 'equals':
    case 'notEquals':
    case 'contains':
    case 'startsWith':
    case 'endsWith':
      return `${selector.label} ${OPERATORS[selector.kind]} ${quote(selector.value)}`;
    default:
      return assertNever(selector);
  }
}

// The language has no escapes: a string holds one kind of quote at most.
const quote = (value: string): string => (value.includes('"') ? `'${value}'` : `"${value}"`);
