// The text of iptables-save: parse and print are inverse for what we keep, chains and the text of
// their rules. A rule's text stays as it is, with its quotes: it is compared and replayed, not read.
import type { ChainRules, TableContent } from '../tables.ts';

const KERNEL_CHAINS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

/** Chains and their rules of one table; counters and comments are dropped. */
export const parseSave = (text: string, table: string): TableContent =>
  parseTables(text).get(table) ?? new Map();

/** The same of every table that is there. */
export function parseTables(text: string): ReadonlyMap<string, TableContent> {
  const tables = new Map<string, Map<string, string[]>>();
  let chains = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) {
      const table = line.slice(1).trim();
      chains = tables.get(table) ?? new Map<string, string[]>();
      tables.set(table, chains);
    } else if (line.startsWith(':')) chains.set(line.slice(1).split(' ', 1)[0]!, []);
    else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3);
      chains.get(line.slice(3, end))?.push(line.slice(end + 1));
    }
  }
  return tables;
}

/** The text that parseSave reads. Kernel chains print policy ACCEPT. */
export function printSave(table: string, content: TableContent): string {
  const chains = [...content.keys()].map(
    (name) => `:${name} ${KERNEL_CHAINS.includes(name) ? 'ACCEPT' : '-'} [0:0]`,
  );
  const rules = [...content].flatMap(([name, list]: [string, ChainRules]) =>
    list.map((rule) => `-A ${name} ${rule}`),
  );
  return [`*${table}`, ...chains, ...rules, 'COMMIT', ''].join('\n');
}

export type Backend = 'nft' | 'legacy';

/** Since Kubernetes 1.17 and 1.24, kubelet makes one of these chains where it works. */
const KUBELET_CHAIN = /^:(KUBE-IPTABLES-HINT|KUBE-KUBELET-CANARY) /m;
const chainsAndRules = (save: string): number =>
  (save.match(/^(:|-A )(KUBE-|cali-)/gm) ?? []).length;

/**
 * The backend of a machine by what both hold, as Felix and kube-proxy's wrapper decide: kubelet's
 * chain in nft, then in legacy, then the one with more of Kubernetes' and our chains and rules; nft
 * when equal.
 */
export function chooseBackend(nftSave: string, legacySave: string): Backend {
  if (KUBELET_CHAIN.test(nftSave)) return 'nft';
  if (KUBELET_CHAIN.test(legacySave)) return 'legacy';
  return chainsAndRules(legacySave) > chainsAndRules(nftSave) ? 'legacy' : 'nft';
}
