// The quick form of a table's plan, for a pod that waits for its chains: nothing is deleted. nftables
// frees deleted rules after a grace period, and a later transaction with conntrack or mark rules
// waits for that; a transaction that only adds never makes the next one wait. What is left over (rules
// for interfaces that are gone, unused chains, hashes out of order) is tidied by the full plan later.
import type { DesiredTable } from '../desired.ts';
import type { RenderedChain, RenderedRule } from '../render/rule.ts';
import { type KnownTable, planTable, type TablePlan } from './plan.ts';

/** Chains whose surplus rules do no harm: each names one interface. */
const isDispatch = (name: string): boolean => /^cali-(from|to)-wl-dispatch/.test(name);

const bodies = new WeakMap<RenderedRule, string>();

/** What a rule does, without the hash of its place in the chain. Kept: nodes have many rules. */
function bodyOf(rule: RenderedRule): string {
  const known = bodies.get(rule);
  if (known !== undefined) return known;
  const body = rule.text.replace(/-m comment --comment "?cali:[^ ]+/, '');
  bodies.set(rule, body);
  return body;
}

/** Whether a surplus rule matches more than one interface, and so may hide a wanted one. */
function shadows(present: RenderedChain, wanted: RenderedChain): boolean {
  const kept = new Set(wanted.rules.map(bodyOf));
  const many = (body: string): boolean => body.includes('+ ') && /-interface \S+\+ /.test(body);
  return present.rules.map(bodyOf).some((body) => !kept.has(body) && many(body));
}

/** Like planTable, but dispatch chains only grow and unused chains stay. */
export function planAdditions(known: KnownTable, desired: DesiredTable): TablePlan {
  const chains = new Map(desired.chains);
  const inserts: string[] = [];
  const grownNames = new Set<string>();
  for (const [name, wanted] of desired.chains) {
    const present = known.chains.get(name)?.rendered;
    if (!present || present === wanted || !isDispatch(name)) continue;
    if (shadows(present, wanted)) continue;
    const grown = grow(present, wanted);
    chains.set(name, grown.chain);
    grownNames.add(name);
    inserts.push(...grown.lines);
  }
  // The grown chains pass as they will be; what is unused is kept by asking for it.
  const kept = [...known.chains].filter(([name]) => !chains.has(name));
  for (const [name, { rendered }] of kept) if (rendered) chains.set(name, rendered);
  const asIfGrown: KnownTable = {
    ...known,
    chains: new Map(
      [...known.chains].map(([name, chain]) => {
        const wanted = chains.get(name);
        const grows = wanted && grownNames.has(name);
        return [
          name,
          grows ? { hashes: wanted.rules.map((r) => r.hash), rendered: wanted } : chain,
        ];
      }),
    ),
  };
  const plan = planTable(asIfGrown, { ...desired, chains });
  return { lines: [...plan.lines, ...inserts], after: plan.after };
}

/** The present rules with the wanted ones that are missing put between them, in order. */
function grow(
  present: RenderedChain,
  wanted: RenderedChain,
): { readonly chain: RenderedChain; readonly lines: readonly string[] } {
  const rules: RenderedRule[] = [];
  const lines: string[] = [];
  const old = present.rules.map((rule) => ({ rule, body: bodyOf(rule) }));
  let at = 0;
  for (const rule of wanted.rules) {
    const body = bodyOf(rule);
    const found = old.findIndex((candidate, i) => i >= at && candidate.body === body);
    if (found < 0) {
      lines.push(`-I ${wanted.name} ${rules.length + 1} ${rule.text}`);
      rules.push(rule);
      continue;
    }
    rules.push(...old.slice(at, found + 1).map((kept) => kept.rule));
    at = found + 1;
  }
  rules.push(...old.slice(at).map((kept) => kept.rule));
  return { chain: { name: wanted.name, rules }, lines };
}
