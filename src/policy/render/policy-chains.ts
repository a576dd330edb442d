// A policy's or profile's rules in one direction as a chain. It sets the accept or pass mark, or
// drops; a packet that leaves it unmarked met no rule.
import type { Family } from '../../net/ip.ts';
import type { ParsedRule } from '../read/parsed-rule.ts';
import { clearMark, DROP, MARK, nflog, RETURN } from './fragments.ts';
import { type Direction, policyChainName, profileChainName } from './names.ts';
import type { Chain, Rule } from './rule.ts';
import { renderRule } from './rule-render.ts';

export interface PolicyIdentity {
  /** Enters the chain's name, e.g. `np/default/knp.default.web`. */
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
}

/** `namespace/name`, or the name alone. */
export const fullName = ({ namespace, name }: PolicyIdentity): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

export const policyChain = (
  policy: PolicyIdentity,
  direction: Direction,
  rules: readonly ParsedRule[],
  family: Family,
  logDenied = false,
): Chain => {
  const chain = policyChainName(direction, policy.id);
  const comment = `${policy.kind} ${fullName(policy)} ${direction}`;
  return { name: chain, rules: rulesOf(rules, family, comment, logDenied ? chain : undefined) };
};

export const profileChain = (
  name: string,
  direction: Direction,
  rules: readonly ParsedRule[],
  family: Family,
  logDenied = false,
): Chain => {
  const chain = profileChainName(direction, name);
  const comment = `Profile ${name} ${direction}`;
  const logged = logDenied ? chain : undefined;
  return { name: chain, rules: rulesOf(rules, family, comment, logged, UNPASSED) };
};

/** The rules of a chain that the rule at `index` becomes; its denials are told under its number. */
export function renderLogged(
  rule: ParsedRule,
  index: number,
  family: Family,
  chain: string | undefined,
): readonly Rule[] {
  const rules = renderRule(rule, family);
  if (chain === undefined || rule.action !== 'Deny') return rules;
  return rules.flatMap((one) =>
    one.action === DROP ? [{ ...one, action: nflog(`${chain} ${index + 1}`) }, one] : [one],
  );
}

// A packet that a policy passed on comes with the pass mark; a profile's own Pass must not see it.
// Felix leaves the mark: there such a Pass applies to every packet that was passed before.
export const CLEAR_PASS = clearMark(MARK.pass);
const UNPASSED: Rule = { match: '', action: CLEAR_PASS };

function rulesOf(
  parsed: readonly ParsedRule[],
  family: Family,
  comment: string,
  logged: string | undefined,
  beforePass?: Rule,
): readonly Rule[] {
  const rules = parsed.flatMap((rule, i) => renderLogged(rule, i, family, logged));
  if (beforePass && parsed.some(({ action }) => action === 'Pass')) rules.unshift(beforePass);
  // Returning at the end of a chain happens by itself.
  while (rules.at(-1)?.action === RETURN) rules.pop();
  const first = rules[0] ?? { match: '', action: '' };
  return [{ ...first, comments: [...(first.comments ?? []), comment] }, ...rules.slice(1)];
}
