// What an endpoint's policies and profiles say of a packet, and which of them said it. Pure: the same
// answer as the chains give in the kernel, for connections that are not established yet.

import type { Item } from '../members/set-index.ts';
import type { ParsedRule } from '../read/parsed-rule.ts';
import type { Policy, Profile } from '../read/resources.ts';
import type { Direction } from '../render/names.ts';
import { type Evaluated, matchRule, type SetMatch } from './match.ts';
import { type Packet, protocolNumber } from './packet.ts';

export type Verdict = 'allow' | 'deny';

/** A rule that matched. */
export interface MatchedRule {
  readonly action: ParsedRule['action'];
  /** Its place among its owner's rules of the direction, from 1, as they could be read. */
  readonly number: number;
  readonly rule: ParsedRule;
  readonly sets: readonly SetMatch[];
}

/** What was asked, in order. */
export type Step =
  | {
      readonly kind: 'policy';
      readonly tier: string;
      readonly policy: Policy;
      /** In order; the last one decided, unless it only logs. */
      readonly matched: readonly MatchedRule[];
    }
  | { readonly kind: 'endOfTier'; readonly tier: string; readonly action: 'Deny' | 'Pass' }
  | {
      readonly kind: 'profile';
      readonly profile: Profile;
      readonly matched: readonly MatchedRule[];
    }
  | { readonly kind: 'noProfile' }
  | { readonly kind: 'encapsulation'; readonly protocol: 'VXLAN' | 'IPIP' };

export interface Evaluation {
  readonly verdict: Verdict;
  readonly direction: Direction;
  /** The last one decided. */
  readonly steps: readonly [Step, ...Step[]];
}

/** A workload endpoint's verdict in one direction: `egress` what it sends, `ingress` what it gets. */
export function evaluate(
  model: Evaluated,
  endpoint: Item,
  direction: Direction,
  packet: Packet,
): Evaluation {
  const steps: Step[] = [];
  const ended = (verdict: Verdict): Evaluation => ({
    verdict,
    direction,
    steps: steps as [Step, ...Step[]],
  });
  const port = model.world.vxlanPort('node' in endpoint ? String(endpoint.node) : '');
  const tunnel = direction === 'egress' ? encapsulation(packet, port) : undefined;
  if (tunnel) {
    steps.push({ kind: 'encapsulation', protocol: tunnel });
    return ended('deny');
  }
  const policies = model
    .policiesOf(endpoint, ({ use }) => use === 'normal')
    .filter((policy) => policy[direction] !== undefined);
  for (const [tier, members] of Map.groupBy(policies, (policy) => policy.tier)) {
    const outcome = askTier(model, tier, members, direction, packet, steps);
    if (outcome) return ended(outcome);
  }
  for (const name of endpoint.profiles) {
    const profile = model.world.profile(name);
    const { matched, action } = askRules(model, profile[direction], packet);
    steps.push({ kind: 'profile', profile, matched });
    if (action === 'Allow') return ended('allow');
    if (action === 'Deny') return ended('deny');
  }
  steps.push({ kind: 'noProfile' });
  return ended('deny');
}

function askTier(
  model: Evaluated,
  tier: string,
  policies: readonly Policy[],
  direction: Direction,
  packet: Packet,
  steps: Step[],
): Verdict | undefined {
  for (const policy of policies) {
    const { matched, action } = askRules(model, policy[direction] ?? [], packet);
    steps.push({ kind: 'policy', tier, policy, matched });
    if (action === 'Allow') return 'allow';
    if (action === 'Deny') return 'deny';
    if (action === 'Pass') return undefined;
  }
  const action = model.world.tier(tier).defaultAction;
  steps.push({ kind: 'endOfTier', tier, action });
  return action === 'Deny' ? 'deny' : undefined;
}

function askRules(
  model: Evaluated,
  rules: readonly ParsedRule[],
  packet: Packet,
): { readonly matched: readonly MatchedRule[]; readonly action: ParsedRule['action'] | undefined } {
  const matched: MatchedRule[] = [];
  for (const [i, rule] of rules.entries()) {
    const match = matchRule(rule, packet, model);
    if (!match) continue;
    const { action } = rule;
    matched.push({ action, number: i + 1, rule, sets: match.sets });
    if (action !== 'Log') return { matched, action };
  }
  return { matched, action: undefined };
}

// A tunnel of its own would carry a workload's packets past every egress policy.
function encapsulation(
  { protocol, destinationPort }: Packet,
  vxlanPort: number,
): 'VXLAN' | 'IPIP' | undefined {
  const number = protocolNumber(protocol);
  if (number === 17 && destinationPort === vxlanPort) return 'VXLAN';
  return number === 4 ? 'IPIP' : undefined;
}
