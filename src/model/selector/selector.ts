// Label selectors: the little language by which policies say whom they mean. Text is parsed once
// into a tree; the tree prints to one canonical text (the input of ip set and group names, so two
// spellings of the same selector share one set) and is matched against labels by a plain function.
// parse(print(x)) = x. Grammar and meaning follow Calico's.

export type Selector =
  | { readonly kind: 'all' }
  | { readonly kind: 'global' }
  | { readonly kind: 'has'; readonly label: string }
  | { readonly kind: 'not'; readonly term: Selector }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Selector[] }
  | { readonly kind: Comparison; readonly label: string; readonly value: string }
  /** Values are sorted and unique. */
  | { readonly kind: 'in' | 'notIn'; readonly label: string; readonly values: readonly string[] };

export type Comparison = 'equals' | 'notEquals' | 'contains' | 'startsWith' | 'endsWith';

/** What is wrong with a selector's text. `column` counts from 1. */
export interface SelectorError {
  readonly column: number;
  readonly message: string;
}

export const ALL: Selector = { kind: 'all' };

/** `selector: expected an operator after label "a" at column 3: a ? b` with the text shown. */
export const describeSelectorError = (text: string, { column, message }: SelectorError): string =>
  `${message} at column ${column} of selector ${JSON.stringify(text)}`;

/** Deepest nesting of parentheses that is accepted. */
export const SELECTOR_DEPTH_MAX = 100;
