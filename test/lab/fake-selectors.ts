// Field and label selectors of the fake API server's lists and watches.
import type { Kinds, Metadata } from '../../src/kubernetes/api.ts';

export type Stored = { readonly metadata: Metadata };

/** What a query selects in a namespace, or in all. */
export function selectorOf(
  query: URLSearchParams,
  namespace: string | undefined,
): (object: Stored) => boolean {
  const [field, wanted] = (query.get('fieldSelector') ?? '').split('=');
  const terms = (query.get('labelSelector') ?? '').split(',').filter((term) => term !== '');
  return (object) =>
    (namespace ?? object.metadata.namespace) === object.metadata.namespace &&
    (field !== 'metadata.name' || object.metadata.name === wanted) &&
    terms.every((term) => hasLabel(object, term)) &&
    (field !== 'spec.nodeName' || (object as Kinds['pods']).spec.nodeName === wanted);
}

/** A term of a label selector: `key`, `!key`, `key=value` or `key!=value`. */
function hasLabel({ metadata }: Stored, term: string): boolean {
  const [, not, key, operator, value] = /^(!?)([^=!]+)(!?==?)?(.*)$/.exec(term) ?? [];
  const label = metadata.labels?.[key ?? ''];
  if (!operator) return (label !== undefined) === (not === '');
  return operator === '!=' ? label !== value : label === value;
}
