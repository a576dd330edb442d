// A policy's or profile's rules in one direction as a chain. It sets the accept or pass mark, or
// drops; a packet that leaves it unmarked met no rule.
import type { Family } from '../../net/ip.ts';
import { MARK } from '../mark-bits.ts';
import type { ParsedRule } from '../read/parsed-rule.ts';
import { clearMark, DROP, nflog, RETURN } from './fragments.ts';
import { LOG_DEFAULTS, type LogAction, type LogSettings, logAction } from './log-action.ts';
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

export interface PolicyWays {
  /** Tell of denied packets. */
  readonly logDenied?: boolean;
  readonly log?: LogSettings;
  /** What denied packets meet. */
  readonly deny?: string;
}

export const policyChain = (
  policy: PolicyIdentity & { readonly tier: string },
  direction: Direction,
  rules: readonly ParsedRule[],
  family: Family,
  { logDenied = false, log = LOG_DEFAULTS, deny = DROP }: PolicyWays = {},
): Chain => {
  const kind = policy.id.slice(0, policy.id.indexOf('/'));
  const action = (rule: number) => logAction(log, { ...policy, kind, rule });
  const chain = policyChainName(direction, policy.id);
  const comment = `${policy.kind} ${fullName(policy)} ${direction}`;
  const logged = logDenied ? chain : undefined;
  return { name: chain, rules: rulesOf(rules, { family, comment, logged, log: action, deny }) };
};

export const profileChain = (
  name: string,
  direction: Direction,
  rules: readonly ParsedRule[],
  family: Family,
  { logDenied = false, log = LOG_DEFAULTS, deny = DROP }: PolicyWays = {},
): Chain => {
  const chain = profileChainName(direction, name);
  const action = (rule: number) => logAction(log, { ...PROFILES, name, rule });
  const comment = `Profile ${name} ${direction}`;
  const logged = logDenied ? chain : undefined;
  return {
    name: chain,
    rules: rulesOf(rules, { family, comment, logged, log: action, deny }, UNPASSED),
  };
};

/** What a Log rule does, by its number. */
type LogOf = (rule: number) => LogAction;

const PROFILES = { tier: '__PROFILE__', kind: 'pro', namespace: undefined };

/** The rules of a chain that the rule at `index` becomes; its denials are told under its number. */
export function renderLogged(
  rule: ParsedRule,
  index: number,
  family: Family,
  chain: string | undefined,
  log?: LogOf,
  deny = DROP,
): readonly Rule[] {
  const action = rule.action === 'Log' ? log?.(index + 1) : undefined;
  const rules = renderRule(rule, family, action, deny);
  if (chain === undefined || rule.action !== 'Deny') return rules;
  return rules.flatMap((one) =>
    one.action === deny ? [{ ...one, action: nflog(`${chain} ${index + 1}`) }, one] : [one],
  );
}

// A packet that a policy passed on comes with the pass mark; a profile's own Pass must not see it.
// Felix leaves the mark: there such a Pass applies to every packet that was passed before.
export const CLEAR_PASS = clearMark(MARK.pass);
const UNPASSED: Rule = { match: '', action: CLEAR_PASS };

interface ChainFacts {
  readonly family: Family;
  readonly comment: string;
  /** The chain's name when its denials are told of. */
  readonly logged: string | undefined;
  readonly log: LogOf;
  readonly deny: string;
}

function rulesOf(
  parsed: readonly ParsedRule[],
  { family, comment, logged, log, deny }: ChainFacts,
  beforePass?: Rule,
): readonly Rule[] {
  const rules = parsed.flatMap((rule, i) => renderLogged(rule, i, family, logged, log, deny));
  if (beforePass && parsed.some(({ action }) => action === 'Pass')) rules.unshift(beforePass);
  // Returning at the end of a chain happens by itself.
  while (rules.at(-1)?.action === RETURN) rules.pop();
  const first = rules[0] ?? { match: '', action: '' };
  return [{ ...first, comments: [...(first.comments ?? []), comment] }, ...rules.slice(1)];
}
