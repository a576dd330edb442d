// The text of iptables-save: parse and print are inverse for what we keep (chains and rules).
import type { ChainRules, TableContent } from '../tables.ts';

/** Chains and their rules of one table; counters and comments are dropped. */
export function parseSave(text: string, table: string): TableContent {
  const chains = new Map<string, string[]>();
  let inside = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) inside = line.slice(1).trim() === table;
    else if (inside && line.startsWith(':')) chains.set(line.slice(1).split(' ', 1)[0]!, []);
    else if (inside && line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3);
      chains.get(line.slice(3, end))?.push(line.slice(end + 1));
    }
  }
  return chains;
}

/** The text that parseSave reads. Kernel chains print policy ACCEPT. */
export function printSave(table: string, content: TableContent): string {
  const isKernelChain = (name: string): boolean => /^[A-Z]+$/.test(name);
  const chains = [...content.keys()].map(
    (name) => `:${name} ${isKernelChain(name) ? 'ACCEPT' : '-'} [0:0]`,
  );
  const rules = [...content].flatMap(([name, list]: [string, ChainRules]) =>
    list.map((rule) => `-A ${name} ${rule}`),
  );
  return [`*${table}`, ...chains, ...rules, 'COMMIT', ''].join('\n');
}

/** How many rules of Kubernetes' and ours a save holds: tells which backend is in use. */
export const knownRules = (save: string): number =>
  (save.match(/^-A (KUBE-|cali-)/gm) ?? []).length;
