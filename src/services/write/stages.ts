// A long transaction as a sequence of short ones, after each of which every packet goes where it went
// before, or where it shall go. iptables-nft-restore looks each line's chain up in a sorted list of all
// chains of the transaction, from its head (nft-cache.c, cache_chain_list_insert): with 30,000 chains
// that is minutes, in pieces of some hundred it is a second.
import { filled, flushed, linesOf, type Plan, sizeOf } from './plan.ts';

/** Chains, or rules of a long list, in one transaction. */
const PIECE = 500;

/** Chains that others of services lead to come first, and go last. */
const RANKS: readonly RegExp[] = [
  /^KUBE-SEP-/,
  /^KUBE-(SVC|SVL)-/,
  /^KUBE-(EXT|XLB)-/,
  /^KUBE-FW-/,
  /^KUBE-(?!SERVICES$|NODEPORTS$|EXTERNAL-SERVICES$|PROXY-FIREWALL$)/,
];
const LIST = RANKS.length;
const rankOf = (chain: string): number => {
  const rank = RANKS.findIndex((one) => one.test(chain));
  // What is there without services leads nowhere.
  return rank === LIST - 1 ? -1 : rank < 0 ? LIST : rank;
};
const byRank = (a: string, b: string): number => rankOf(a) - rankOf(b);

/**
 * The transactions of a plan in turn: one when that is cheap. `exists`: whether the kernel has a chain
 * now; what packets may pass meanwhile is written as a whole. Lines are made as they are asked for.
 */
export function* stagesOf(
  plan: Plan,
  exists: (chain: string) => boolean,
  linesMax: number,
): Generator<readonly string[]> {
  const size = sizeOf(plan);
  if (size === 0) return;
  if (size <= linesMax) yield linesOf(plan);
  else yield* longStages(plan, exists);
}

function* longStages(
  { made, edits, stale }: Plan,
  exists: (chain: string) => boolean,
): Generator<readonly string[]> {
  const ordered = [...made.keys()].sort(byRank);
  const chains = ordered.filter((name) => rankOf(name) < LIST);
  const lists = ordered.filter((name) => rankOf(name) === LIST);
  // A list may lead to another.
  const fresh = lists.filter((name) => !exists(name));
  if (fresh.length > 0) yield flushed(fresh);
  const whole = (names: readonly string[]): readonly string[] => [
    ...flushed(names),
    ...names.flatMap((name) => filled(name, made.get(name)!)),
  ];
  for (const names of pieces(chains)) yield whole(names);
  for (const name of fresh) for (const rules of pieces(made.get(name)!)) yield filled(name, rules);
  for (const name of lists) if (exists(name)) yield whole([name]);
  yield* pieces(edits);
  for (const names of pieces([...stale].sort(byRank).reverse()))
    yield [...flushed(names), ...names.map((name) => `-X ${name}`)];
}

function pieces<T>(all: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / PIECE) }, (_, i) =>
    all.slice(i * PIECE, (i + 1) * PIECE),
  );
}
