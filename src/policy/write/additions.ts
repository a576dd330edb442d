// The quick way for a pod that waits for its chains: they are added, and a rule at the head of each
// dispatch leads to them, before any that may match a whole group. Nothing is deleted or looked up:
// nftables frees deleted rules after a grace period, and a later transaction with conntrack or mark
// rules waits for that. The full plan tidies up when changes have been quiet for a moment.
import type { Additions } from '../desired.ts';
import { dispatchTo } from '../render/dispatch-chains.ts';
import { type RenderedChain, renderChain } from '../render/rule.ts';
import { type KnownChain, type KnownTable, sameChain, type TablePlan } from './plan.ts';

/** Undefined: what the kernel holds is not known well enough. */
export function planAdditions(known: KnownTable, additions: Additions): TablePlan | undefined {
  const { chains: wanted, interfaces } = additions;
  if (wanted.length === 0 && interfaces.length === 0) return { lines: [], after: known };
  // Endpoints that come together share the chains of their policies.
  const once = new Map(wanted.map((chain) => [chain.name, chain])).values();
  const changed = [...once].filter((chain) => !sameChain(known.chains.get(chain.name), chain));
  const chains = new Map<string, KnownChain>(known.chains);
  for (const chain of changed) chains.set(chain.name, asKnown(chain));
  const inserts: string[] = [];
  for (const direction of ['ingress', 'egress'] as const) {
    for (const name of additions.interfaces) {
      const { name: root, rules } = renderChain(dispatchTo(direction, name));
      const present = chains.get(root)?.rendered;
      if (!present) return undefined;
      const target = targetOf(rules[0]!.text);
      if (isReached(chains, root, target)) continue;
      inserts.push(`-I ${root} ${rules[0]!.text}`);
      chains.set(root, asKnown({ name: root, rules: [...rules, ...present.rules] }));
    }
  }
  const lines = [
    ...changed.map(({ name }) => `:${name} - [0:0]`),
    ...changed.flatMap(({ name, rules }) => rules.map(({ text }) => `-A ${name} ${text}`)),
    ...inserts,
  ];
  return { lines, after: { ...known, chains } };
}

const asKnown = (rendered: RenderedChain): KnownChain => ({
  hashes: rendered.rules.map(({ hash }) => hash),
  rendered,
});

const targetOf = (text: string): string => text.slice(text.lastIndexOf(' ') + 1);

/** Whether the dispatch, a tree of one level, leads to the chain. */
function isReached(chains: ReadonlyMap<string, KnownChain>, root: string, target: string): boolean {
  const targets = chains.get(root)?.rendered?.rules.map(({ text }) => targetOf(text)) ?? [];
  const children = targets.filter((name) => name.startsWith(`${root}-`));
  const below = children.flatMap((name) => chains.get(name)?.rendered?.rules ?? []);
  return targets.includes(target) || below.some(({ text }) => targetOf(text) === target);
}
