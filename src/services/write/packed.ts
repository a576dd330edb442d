// A service's chains as one text: ten thousand services kept as maps, lists and texts put together of
// other texts take ten times the memory. Read apart again when a service changes.
import type { ChainRules } from '../../kernel/tables.ts';

export type Chains = ReadonlyMap<string, ChainRules>;

/** A line for each chain: its name and its rules, with a tab before each. Neither has one inside. */
export type Packed = string;

export const NOTHING: Packed = '';

/** Chains without rules are left out. */
export function pack(chains: Chains): Packed {
  const lines: string[] = [];
  for (const [name, rules] of chains)
    if (rules.length > 0) lines.push(`${name}\t${rules.join('\t')}`);
  return lines.join('\n');
}

export function unpack(packed: Packed): Chains {
  const chains = new Map<string, ChainRules>();
  if (packed === NOTHING) return chains;
  for (const line of packed.split('\n')) {
    const [name, ...rules] = line.split('\t');
    chains.set(name!, rules);
  }
  return chains;
}

/** Of one chain. */
export function rulesIn(packed: Packed, chain: string): ChainRules {
  const from = `\n${packed}`.indexOf(`\n${chain}\t`);
  if (from < 0) return [];
  const end = packed.indexOf('\n', from);
  const line = packed.slice(from, end < 0 ? undefined : end);
  return line.split('\t').slice(1);
}
