// Whom a rule's source or destination, or a policy as a whole, means: one selector over endpoints
// in which namespace and service account conditions are folded in. Both appear on an endpoint as
// labels inherited from its profiles, `pcns.` for the namespace's and `pcsa.` for the account's.
import { fail, ok, type Result } from '../../base/result.ts';
import type { EntityRule, NetworkPolicySpec } from '../../model/policy.ts';
import { withLabelPrefix } from '../../model/selector/match.ts';
import { parseSelector } from '../../model/selector/parse.ts';
import { ALL, describeSelectorError, type Selector } from '../../model/selector/selector.ts';

export const NAMESPACE_LABEL = 'projectcalico.org/namespace';
const SERVICE_ACCOUNT_LABEL = 'projectcalico.org/serviceaccount';

export interface EntitySelectors {
  readonly positive: Selector | undefined;
  /** Only where there is no positive one; otherwise it is folded into that. */
  readonly negative: Selector | undefined;
}

const both = (a: Selector | undefined, b: Selector | undefined): Selector | undefined =>
  a && b ? { kind: 'and', terms: [a, b] } : (a ?? b);

const inNamespace = (value: string): Selector => ({
  kind: 'equals',
  label: NAMESPACE_LABEL,
  value,
});

/** A rule in a namespaced policy means its own namespace unless it names others. */
export function entitySelectors(
  entity: EntityRule,
  namespace: string | undefined,
): Result<EntitySelectors> {
  const namespaces = parseOptional(entity.namespaceSelector);
  const endpoints = parseOptional(entity.selector);
  const not = parseOptional(entity.notSelector);
  const accounts = serviceAccounts(entity.serviceAccounts);
  if (!namespaces.ok) return namespaces;
  if (!endpoints.ok) return endpoints;
  if (!not.ok) return not;
  if (!accounts.ok) return accounts;
  const where = namespaces.value
    ? overNamespaces(withLabelPrefix(namespaces.value, 'pcns.'))
    : namespace === undefined
      ? undefined
      : inNamespace(namespace);
  const who = both(accounts.value, endpoints.value);
  const limited = who || not.value || namespaces.value;
  const positive = limited ? both(where, who) : undefined;
  if (!positive || !not.value) return ok({ positive, negative: not.value });
  const negated: Selector = { kind: 'not', term: not.value };
  return ok({ positive: { kind: 'and', terms: [positive, negated] }, negative: undefined });
}

/**
 * The endpoints a policy applies to. Terms stand in Calico's order, which names of groups are made of;
 * beside a namespace or service account selector all() means those that have one.
 */
export function policySelector(
  spec: NetworkPolicySpec & { readonly namespaceSelector?: string },
  namespace: string | undefined,
): Result<Selector> {
  const own = parseOptional(spec.selector);
  const namespaces = parseOptional(spec.namespaceSelector);
  const accounts = parseOptional(spec.serviceAccountSelector);
  if (!own.ok) return own;
  if (!namespaces.ok) return namespaces;
  if (!accounts.ok) return accounts;
  const ofAccount = accounts.value && withLabelPrefix(accounts.value, 'pcsa.');
  if (namespace !== undefined)
    return ok(both(both(own.value, inNamespace(namespace)), ofAccount) ?? ALL);
  const ofNamespace = namespaces.value && withLabelPrefix(namespaces.value, 'pcns.');
  const inAny = both(own.value, ofNamespace);
  const limited = ofNamespace && inAny ? replaceAll(inAny, NAMESPACE_LABEL) : inAny;
  const whole = both(limited, ofAccount) ?? ALL;
  return ok(ofAccount ? replaceAll(whole, SERVICE_ACCOUNT_LABEL) : whole);
}

// `all()` at any depth becomes `has(label)`.
function replaceAll(selector: Selector, label: string): Selector {
  switch (selector.kind) {
    case 'all':
      return { kind: 'has', label };
    case 'not':
      return { kind: 'not', term: replaceAll(selector.term, label) };
    case 'and':
    case 'or':
      return { ...selector, terms: selector.terms.map((term) => replaceAll(term, label)) };
    default:
      return selector;
  }
}

function parseOptional(text: string | undefined): Result<Selector | undefined> {
  if (!text) return ok(undefined);
  const parsed = parseSelector(text);
  return parsed.ok ? parsed : fail(describeSelectorError(text, parsed.error));
}

function serviceAccounts(match: EntityRule['serviceAccounts']): Result<Selector | undefined> {
  const selector = parseOptional(match?.selector);
  if (!selector.ok) return selector;
  const names = [...new Set(match?.names)].sort();
  const named: Selector | undefined =
    names.length > 0 ? { kind: 'in', label: SERVICE_ACCOUNT_LABEL, values: names } : undefined;
  return ok(both(selector.value && withLabelPrefix(selector.value, 'pcsa.'), named));
}

// In a namespace selector all() means "in any namespace" and global() "in none".
function overNamespaces(selector: Selector): Selector {
  const has: Selector = { kind: 'has', label: NAMESPACE_LABEL };
  switch (selector.kind) {
    case 'all':
      return has;
    case 'global':
      return { kind: 'not', term: has };
    case 'not':
      return selector.term.kind === 'global'
        ? has
        : { kind: 'not', term: overNamespaces(selector.term) };
    case 'and':
    case 'or':
      return { ...selector, terms: selector.terms.map(overNamespaces) };
    default:
      return selector;
  }
}
