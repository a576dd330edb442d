// Which rule of which policy a rule in the kernel stands for, by chain and hash. A rendered policy rule
// is several kernel rules; the one that sets the verdict's mark has seen every packet that matched.
import type { Family } from '../../net/ip.ts';
import type { Applied } from '../active/applied-policies.ts';
import { wordsOfRule } from '../explain/words.ts';
import type { ParsedRule } from '../read/parsed-rule.ts';
import type { Policy, Profile } from '../read/resources.ts';
import type { Direction } from '../render/names.ts';
import { CLEAR_PASS, fullName, renderLogged } from '../render/policy-chains.ts';
import type { RenderedChain } from '../render/rule.ts';

/** What is counted: a rule of a policy or profile, or an end that drops what nobody allowed. */
export interface CountedRule {
  /** Empty: a profile's. */
  readonly tier: string;
  /** `NetworkPolicy ns/name`, `Profile kns.x`, `end of tier` or `no profile`. */
  readonly owner: string;
  /** Of an end: whose chain it is, `namespace/pod` or an interface; else empty. */
  readonly endpoint: string;
  readonly direction: Direction;
  /** From 1; 0: an end. */
  readonly rule: number;
  readonly action: ParsedRule['action'];
  readonly words: string;
}

/** Makes the chains, as FilterRenderer does. */
export interface ChainSource {
  policy(policy: Policy, direction: Direction): RenderedChain | undefined;
  profile(profile: Profile, direction: Direction): RenderedChain;
}

/** `<chain> <hash>` -> what the rule counts. */
export type Owners = ReadonlyMap<string, CountedRule>;

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress'];

/** The rules of everything that applies to some endpoint. */
export function ownersOf(applied: Iterable<Applied>, source: ChainSource, family: Family): Owners {
  const owners = new Map<string, CountedRule>();
  const seen = new Set<Policy | Profile>();
  for (const { policies, profiles } of applied) {
    for (const policy of policies) {
      if (seen.has(policy)) continue;
      seen.add(policy);
      for (const direction of DIRECTIONS) {
        const chain = source.policy(policy, direction);
        const owner = { tier: policy.tier, owner: `${policy.kind} ${fullName(policy)}` };
        if (chain) enter(owners, chain, policy[direction] ?? [], family, { ...owner, direction });
      }
    }
    for (const profile of profiles) {
      if (seen.has(profile)) continue;
      seen.add(profile);
      for (const direction of DIRECTIONS) {
        const chain = source.profile(profile, direction);
        const owner = { tier: '', owner: `Profile ${profile.name}`, direction };
        enter(owners, chain, profile[direction], family, owner);
      }
    }
  }
  return owners;
}

function enter(
  owners: Map<string, CountedRule>,
  chain: RenderedChain,
  rules: readonly ParsedRule[],
  family: Family,
  owner: Pick<CountedRule, 'tier' | 'owner' | 'direction'>,
): void {
  const isLogged = chain.rules.some(({ text }) => text.includes('--jump NFLOG'));
  let at = chain.rules[0]?.text.endsWith(CLEAR_PASS) ? 1 : 0;
  for (const [i, rule] of rules.entries()) {
    const { length } = renderLogged(rule, i, family, isLogged ? chain.name : undefined);
    const verdict = at + length - afterMatch(rule, isLogged);
    at += length;
    const hash = length > 0 ? chain.rules[verdict]?.hash : undefined;
    if (hash === undefined) continue;
    const { action } = rule;
    const words = wordsOfRule(rule);
    owners.set(`${chain.name} ${hash}`, { ...owner, endpoint: '', rule: i + 1, action, words });
  }
}

/** How many kernel rules there are from the one that counts to the rule's last. */
function afterMatch({ action }: ParsedRule, isLogged: boolean): number {
  if (action === 'Log') return 1;
  return action === 'Deny' && isLogged ? 3 : 2;
}

/** An end of a tier, or of everything, by the comment of its rule; undefined: another rule. */
export function endOf(
  ruleText: string,
  endpoint: string,
  direction: Direction,
): CountedRule | undefined {
  if (!/ -j (?:DROP$|REJECT)/.test(ruleText)) return undefined;
  const tier = /--comment "End of tier (.+)\. (?:Drop|Reject) if no policies passed packet"/.exec(
    ruleText,
  );
  const none = /--comment "(?:Drop|Reject) if no profiles matched"/.test(ruleText);
  if (!tier && !none) return undefined;
  const owner = tier ? 'end of tier' : 'no profile';
  const of = { endpoint, direction, rule: 0, action: 'Deny' as const, words: 'Deny' };
  return { tier: tier?.[1] ?? '', owner, ...of };
}
