// Arrays of many objects, in as little memory as they need: what grows by and by, as flatMap(), push()
// and spreads do, holds room for 17 elements where it has one.

const NONE: readonly never[] = Object.freeze([]);

/** The same elements with no room for more; empty arrays are one. */
export const exact = <T>(elements: readonly T[]): readonly T[] =>
  elements.length === 0 ? NONE : elements.slice();
