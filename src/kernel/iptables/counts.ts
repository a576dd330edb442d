// The text of iptables-save -c: how much each rule has matched since it was written.
import type { RuleCount, TableCounts } from '../tables.ts';

/** Rules in order, by chain, of one table. */
export function parseCounts(text: string, table: string): TableCounts {
  const chains = new Map<string, RuleCount[]>();
  let inside = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) inside = line.slice(1).trim() === table;
    if (!inside) continue;
    const [, packets, bytes, chain, rule] = /^\[(\d+):(\d+)\] -A (\S+) ?(.*)$/.exec(line) ?? [];
    if (chain === undefined) continue;
    const counts = chains.get(chain) ?? [];
    chains.set(chain, counts);
    counts.push({ text: rule!, packets: Number(packets), bytes: Number(bytes) });
  }
  return chains;
}
