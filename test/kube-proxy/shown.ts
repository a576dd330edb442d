// What the save commands show of services, in a form that can be compared.
import type { Family } from '../../src/net/ip.ts';
import { run } from '../lab/command.ts';
import { netnsPath } from '../lab/netns.ts';

const SAVE = { 4: 'iptables-nft-save', 6: 'ip6tables-nft-save' } as const;
const TABLES = ['filter', 'nat'] as const;

/** kube-proxy counts what it drops as invalid in an object of the kernel's accounting, where that is
 *  there; a rule's own counter tells the same. */
const ACCOUNTING = / -m nfacct --nfacct-name +\S+/;

/** kube-proxy's rule that only counts, which it has where that is there; ours is always there. */
export const COUNTING = /-A KUBE-NODEPORTS -d 127\.0\.0\.0\/8 /;

/** Chains and rules without counters, sorted: rules of one chain keep their order by their number. */
export function shown(family: Family, netns?: string): readonly string[] {
  const where = netns ? ['nsenter', `--net=${netnsPath(netns)}`] : [];
  return TABLES.flatMap((table) => {
    const counts = new Map<string, number>();
    return run([...where, SAVE[family], '-t', table])
      .split('\n')
      .filter((line) => /^[:-]/.test(line) && !/KUBE-(PROXY|KUBELET)-CANARY/.test(line))
      .map((line) => {
        if (line.startsWith(':')) return `${table} ${line.split(' ')[0]}`;
        const [, chain = ''] = line.split(' ');
        const isList = /^KUBE-(SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL)$/.test(chain);
        const place = counts.get(chain) ?? 0;
        counts.set(chain, place + 1);
        return `${table} ${line.replace(ACCOUNTING, '')}${isList ? '' : ` #${place}`}`;
      })
      .sort();
  });
}

const PER_SERVICE = /^KUBE-(SVC|SVL|SEP|EXT|FW|XLB)-/;

/** Beyond a thousand endpoints kube-proxy leaves chains that nothing leads to for some time. */
export function withoutStale(lines: readonly string[]): readonly string[] {
  const leads = new Set(lines.flatMap((line) => / -j (KUBE-\S+)/.exec(line)?.[1] ?? []));
  const isStale = (line: string): boolean => {
    const chain = / (?::|-A )(KUBE-\S+)/.exec(line)?.[1] ?? '';
    return PER_SERVICE.test(chain) && !leads.has(chain);
  };
  const left = lines.filter((line) => !isStale(line));
  return left.length === lines.length ? lines : withoutStale(left);
}
