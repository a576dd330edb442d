// A long transaction as a sequence of short ones, after each of which every packet goes where it went
// before, or where it shall go. iptables-nft-restore looks each line's chain, and the chain that it leads
// to, up in a sorted list of all chains of the transaction, from its head (nft-cache.c,
// cache_chain_list_insert): with 30,000 chains that is minutes, in pieces of some hundred it is a second.
// Names descend, so that one is found at once unless rules lead to others. On the other hand the kernel
// looks at every chain of the table at the end of each transaction: what leads nowhere, or can be put in
// that order, goes in larger pieces.
import type { ChainRules } from '../../kernel/tables.ts';
import { filled, flushed, linesOf, type Plan, sizeOf } from './plan.ts';

/** Chains that lead to many others, in one transaction. */
const PIECE = 500;
/** Chains that do not, and rules of a long list by the names that they lead to. */
const LARGE_PIECE = 2000;
/** So many chains stay together where no list is written anew: the kernel looks over the whole table at
 *  the end of each transaction, which costs more than the child's longer list. */
const TOGETHER = 3000;

/** Chains that others of services lead to come first, and go last. */
const RANKS: readonly RegExp[] = [
  /^KUBE-SEP-/,
  /^KUBE-(SVC|SVL)-/,
  /^KUBE-(EXT|XLB)-/,
  /^KUBE-FW-/,
  /^KUBE-(?!SERVICES$|NODEPORTS$|EXTERNAL-SERVICES$|PROXY-FIREWALL$)/,
];
/** They lead to the masquerading mark alone, or nowhere. */
const LEAF = 0;
const LIST = RANKS.length;
const rankOf = (chain: string): number => {
  const rank = RANKS.findIndex((one) => one.test(chain));
  // What is there without services leads nowhere.
  return rank === LIST - 1 ? -1 : rank < 0 ? LIST : rank;
};

/** By rank, up or down; those of one rank in descending order. */
function ordered(chains: Iterable<string>, up: boolean): readonly string[] {
  const ranked = [...chains].map((name) => ({ name, rank: up ? rankOf(name) : -rankOf(name) }));
  ranked.sort((a, b) => a.rank - b.rank || (a.name < b.name ? 1 : -1));
  return ranked.map(({ name }) => name);
}

/**
 * The transactions of a plan in turn: one when that is cheap. `exists`: whether the kernel has a chain
 * now; what packets may pass meanwhile is written as a whole. Lines are made as they are asked for.
 */
export function* stagesOf(
  plan: Plan,
  exists: (chain: string) => boolean,
  linesMax: number,
  limits: Limits = { piece: PIECE, large: LARGE_PIECE, together: TOGETHER },
): Generator<readonly string[]> {
  const size = sizeOf(plan);
  if (size === 0) return;
  if (size <= linesMax) yield linesOf(plan);
  else yield* longStages(plan, exists, limits);
}

export interface Limits {
  readonly piece: number;
  readonly large: number;
  readonly together: number;
}

function* longStages(
  { made, edits, stale, inOrder }: Plan,
  exists: (chain: string) => boolean,
  { piece, large, together }: Limits,
): Generator<readonly string[]> {
  const names = ordered(made.keys(), true);
  const chains = names.filter((name) => rankOf(name) < LIST);
  const lists = names.filter((name) => rankOf(name) === LIST);
  const leaving = ordered(stale, false);
  const written = (some: readonly string[]): readonly string[] =>
    some.flatMap((name) => [...flushed([name]), ...filled(name, made.get(name)!)]);
  const gone = (some: readonly string[]): readonly string[] =>
    some.flatMap((name) => [...flushed([name]), `-X ${name}`]);
  if (lists.length === 0 && chains.length + leaving.length <= together) {
    yield [...written(chains), ...edits, ...gone(leaving)];
    return;
  }
  // A list may lead to another.
  const fresh = lists.filter((name) => !exists(name));
  if (fresh.length > 0) yield flushed(fresh);
  const leaves = chains.filter((name) => rankOf(name) <= LEAF);
  for (const some of pieces(leaves, large)) yield written(some);
  for (const some of pieces(chains.slice(leaves.length), piece)) yield written(some);
  for (const name of fresh) {
    const rules = made.get(name)!;
    const some = inOrder ? pieces(rules, piece) : pieces(byTarget(rules), large);
    for (const one of some) yield filled(name, one);
  }
  for (const name of lists) if (exists(name)) yield written([name]);
  yield* pieces(edits, piece);
  for (const some of pieces(leaving, piece)) yield gone(some);
}

/** The last rule of a list is for what no other has matched. */
function byTarget(rules: ChainRules): ChainRules {
  const targetOf = (rule: string): string => rule.slice(rule.lastIndexOf(' ') + 1);
  const sorted = rules.slice(0, -1).sort((a, b) => (targetOf(a) < targetOf(b) ? 1 : -1));
  return [...sorted, ...rules.slice(-1)];
}

function pieces<T>(all: readonly T[], piece: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / piece) }, (_, i) =>
    all.slice(i * piece, (i + 1) * piece),
  );
}
