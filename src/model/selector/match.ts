// Whether labels satisfy a selector, and rewriting of the labels a selector speaks of.
import { assertNever } from '../../base/assert.ts';
import type { Selector } from './selector.ts';

/** A label's value; undefined when the label is absent. */
export type Labels = (name: string) => string | undefined;

/**
 * Evaluates. `!=` and `not in` hold when the label is absent, every other comparison fails then;
 * all() and global() always hold.
 */
export function matches(selector: Selector, labels: Labels): boolean {
  switch (selector.kind) {
    case 'all':
    case 'global':
      return true;
    case 'has':
      return labels(selector.label) !== undefined;
    case 'not':
      return !matches(selector.term, labels);
    case 'and':
      return selector.terms.every((term) => matches(term, labels));
    case 'or':
      return selector.terms.some((term) => matches(term, labels));
    case 'equals':
      return labels(selector.label) === selector.value;
    case 'notEquals':
      return labels(selector.label) !== selector.value;
    case 'contains':
      return labels(selector.label)?.includes(selector.value) ?? false;
    case 'startsWith':
      return labels(selector.label)?.startsWith(selector.value) ?? false;
    case 'endsWith':
      return labels(selector.label)?.endsWith(selector.value) ?? false;
    case 'in':
    case 'notIn': {
      const value = labels(selector.label);
      const within = value !== undefined && selector.values.includes(value);
      return within === (selector.kind === 'in');
    }
    default:
      return assertNever(selector);
  }
}

/** The selector with `prefix` before every label it names. */
export function withLabelPrefix(selector: Selector, prefix: string): Selector {
  switch (selector.kind) {
    case 'all':
    case 'global':
      return selector;
    case 'not':
      return { kind: 'not', term: withLabelPrefix(selector.term, prefix) };
    case 'and':
    case 'or':
      return { ...selector, terms: selector.terms.map((term) => withLabelPrefix(term, prefix)) };
    default:
      return { ...selector, label: prefix + selector.label };
  }
}
