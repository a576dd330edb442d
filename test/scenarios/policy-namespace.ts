// A network namespace of a test's own, with the packet filter reached by plain commands: a second,
// independent way to the kernel beside the kept-open children.
import type { IpSet, IpSets, TableContent, Tables } from '../../src/kernel/tables.ts';
import { attempt, run } from '../lab/command.ts';

export interface Namespace {
  readonly name: string;
  exec(argv: readonly string[], input?: string): string;
  remove(): void;
}

let count = 0;

export function makeNamespace(): Namespace {
  const name = `ckt-policy-${process.pid}-${count++}`;
  run(['ip', 'netns', 'add', name]);
  const exec = (argv: readonly string[], input?: string): string =>
    run(['ip', 'netns', 'exec', name, ...argv], input);
  return { name, exec, remove: () => void attempt(['ip', 'netns', 'delete', name]) };
}

/** Counts the transactions that go through. */
export function commandTables(namespace: Namespace): Tables & { commits: number } {
  return {
    commits: 0,
    read: async (table) => parseSave(namespace.exec(['iptables-save', '-t', table])),
    async commit({ table, lines }) {
      this.commits++;
      const input = [`*${table}`, ...lines, 'COMMIT', ''].join('\n');
      namespace.exec(['iptables-restore', '--noflush'], input);
    },
    close: async () => undefined,
  };
}

export function parseSave(text: string): TableContent {
  const chains = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    if (line.startsWith(':')) chains.set(line.slice(1, line.indexOf(' ')), []);
    const rule = /^-A (\S+) ?(.*)$/.exec(line);
    if (rule) chains.get(rule[1]!)!.push(rule[2]!);
  }
  return chains;
}

export function commandIpSets(namespace: Namespace): IpSets & { commits: number } {
  return {
    commits: 0,
    async read(prefix) {
      const sets = new Map<string, IpSet & { members: Set<string> }>();
      for (const line of namespace.exec(['ipset', 'save']).split('\n')) {
        const [verb, name = '', type] = line.split(' ');
        const maxElements = Number(/maxelem (\d+)/.exec(line)?.[1]);
        const family = line.includes('inet6') ? 'inet6' : 'inet';
        if (verb === 'create')
          sets.set(name, {
            name,
            type: type as IpSet['type'],
            family,
            maxElements,
            members: new Set(),
          });
        if (verb === 'add') sets.get(name)!.members.add(type!);
      }
      return [...sets.values()].filter(({ name }) => name.startsWith(prefix));
    },
    async commit(changes) {
      this.commits++;
      const lines = changes.map((change) => {
        if (change.kind === 'destroy') return `destroy ${change.name}`;
        if (change.kind !== 'create')
          return `${change.kind === 'add' ? 'add' : 'del'} ${change.name} ${change.member}`;
        const { name, type, family, maxElements } = change.set;
        return `create ${name} ${type} family ${family} maxelem ${maxElements}`;
      });
      namespace.exec(['ipset', 'restore'], `${lines.join('\n')}\n`);
    },
    close: async () => undefined,
  };
}
