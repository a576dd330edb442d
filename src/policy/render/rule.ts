// The policy engine: datastore state in, iptables chains and ip sets out, all as values. Resources
// enter through `world.ts`, `calculate.ts` decides which of them matter to this node's endpoints,
// the `*-chains.ts` files say it in rules, and `plan.ts` compares with what the kernel holds. The
// layout (chain names, order, marks, hash comments) is Felix's, so that either engine can take
// over from the other without a gap.
//
// This file: a rule as match and action text, and the hash comments by which we know our own.
import { digest } from '../../base/hash.ts';
import type { MarkBits } from '../mark-bits.ts';

/** Fragments as iptables-restore takes them. The hash covers exactly this text. */
export interface Rule {
  /** Empty: every packet. */
  readonly match: string;
  /** Empty: counts only. */
  readonly action: string;
  readonly comments?: readonly string[];
}

export interface Chain {
  readonly name: string;
  readonly rules: readonly Rule[];
}

export interface RenderedRule {
  readonly hash: string;
  /** What follows `-A <chain> ` or `-I <chain> `. */
  readonly text: string;
}

export interface RenderedChain {
  readonly name: string;
  readonly rules: readonly RenderedRule[];
}

const COMMENT_LENGTH_MAX = 256;
const HASH_LENGTH = 16;

/** Marks a rule as ours in the comment of every rule. */
export const HASH_PREFIX = 'cali:';

/**
 * Each rule's hash covers the chain's name and all rules before it, so that equal hashes mean an
 * equal chain up to there: h(0) = sha224(name), h(i) = sha224(h(i-1) || text(i)). `bits`: where those of
 * the packet mark are, when they are not where rules are made with them.
 */
export function renderChain({ name, rules }: Chain, bits?: MarkBits): RenderedChain {
  let previous = digest('sha224', name);
  const rendered = rules.map((rule): RenderedRule => {
    const body = bodyOf(bits ? bits.move(rule) : rule);
    const text = ['-A', name, 'HASH', ...body].join(' ');
    previous = digest('sha224', Buffer.concat([previous, Buffer.from(text)]));
    const hash = Buffer.from(previous).toString('base64url').slice(0, HASH_LENGTH);
    return { hash, text: [comment(HASH_PREFIX + hash), ...body].join(' ') };
  });
  return { name, rules: rendered };
}

/** Rules appended to a kernel chain are hashed under this name. */
export const appendsOf = (kernelChain: string): string => `${kernelChain}*appends*`;

const bodyOf = ({ match, action, comments }: Rule): readonly string[] =>
  [...(comments ?? []).map((text) => comment(clean(text))), match, action].filter(
    (part) => part !== '',
  );

const comment = (text: string): string => `-m comment --comment "${text}"`;

/** Nothing a resource carries may end the quoted string or the line. */
const clean = (text: string): string =>
  text.replace(/[^\w @%+=:,./-]/g, '_').slice(0, COMMENT_LENGTH_MAX);

/** The hash of a rule as iptables-save printed it; undefined when the rule is not ours. */
export const hashOf = (ruleText: string): string | undefined =>
  /--comment "?cali:([A-Za-z0-9_-]{16})"?(?: |$)/.exec(ruleText)?.[1];
