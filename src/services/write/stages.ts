// A long transaction as a sequence of short ones, after each of which every packet goes where it went
// before, or where it shall go. iptables-nft-restore looks each line's chain up in a sorted list of all
// chains of the transaction, from its head (nft-cache.c, cache_chain_list_insert): with 30,000 chains
// that is minutes, in pieces of some hundred it is a second.
import type { ChainRules } from '../../kernel/tables.ts';

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

interface Parts {
  /** Chains to be filled anew. */
  readonly made: Map<string, string[]>;
  readonly deleted: Set<string>;
  /** Changes of lists and of the kernel's own chains, in order. */
  readonly edits: string[];
}

/** The lines of one transaction, in as many as they are worth. `exists`: whether the kernel has a chain
 *  now: what packets may pass meanwhile is written as a whole. */
export function stagesOf(
  lines: readonly string[],
  exists: (chain: string) => boolean,
  linesMax: number,
): readonly (readonly string[])[] {
  if (lines.length <= linesMax) return [lines];
  const { made, deleted, edits } = partsOf(lines);
  const ordered = [...made.keys()].filter((name) => !deleted.has(name)).sort(byRank);
  const chains = ordered.filter((name) => rankOf(name) < LIST);
  const lists = ordered.filter((name) => rankOf(name) === LIST);
  const text = (name: string, rules: ChainRules): string[] =>
    rules.map((rule) => `-A ${name} ${rule}`);
  const filled = pieces(chains).map((names) => [
    ...names.map((name) => `:${name} - [0:0]`),
    ...names.flatMap((name) => text(name, made.get(name)!)),
  ]);
  // A list may lead to another.
  const [old, fresh] = [lists.filter(exists), lists.filter((name) => !exists(name))];
  const begun = fresh.map((name) => `:${name} - [0:0]`);
  const grown = fresh.flatMap((name) => pieces(text(name, made.get(name)!)));
  const replaced = old.map((name) => [`:${name} - [0:0]`, ...text(name, made.get(name)!)]);
  const removed = pieces([...deleted].sort(byRank).reverse()).map((names) => [
    ...names.map((name) => `:${name} - [0:0]`),
    ...names.map((name) => `-X ${name}`),
  ]);
  return [begun, ...filled, ...grown, ...replaced, ...pieces(edits), ...removed].filter(
    ({ length }) => length > 0,
  );
}

function pieces<T>(all: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / PIECE) }, (_, i) =>
    all.slice(i * PIECE, (i + 1) * PIECE),
  );
}

function partsOf(lines: readonly string[]): Parts {
  const parts: Parts = { made: new Map(), deleted: new Set(), edits: [] };
  for (const line of lines) {
    const chain = line.split(' ', 2);
    if (line.startsWith(':')) parts.made.set(chain[0]!.slice(1), []);
    else if (line.startsWith('-X ')) parts.deleted.add(chain[1]!);
    else if (line.startsWith('-A '))
      parts.made.get(chain[1]!)!.push(line.slice(chain.join(' ').length + 1));
    else parts.edits.push(line);
  }
  return parts;
}
