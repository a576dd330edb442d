// Memory twins of the packet filter and of IP sets: the restore syntax that we use, with the
// kernel's refusals (unknown chain, chain in use, rule that is not there).
import { OpError } from '../base/op-error.ts';
import type {
  IpSet,
  IpSetChange,
  IpSets,
  TableContent,
  TableName,
  Tables,
  TableTransaction,
} from './tables.ts';

const KERNEL_CHAINS: Readonly<Record<TableName, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

type Chains = Map<string, string[]>;

export interface MemoryTables extends Tables {
  /** Transactions committed so far. */
  readonly commits: number;
  /** The next commit is refused. */
  failNext(): void;
  /** What another program does: `iptables -F` of every chain. */
  flush(table: TableName): void;
}

export function memoryTables(): MemoryTables {
  const tables = new Map<TableName, Chains>();
  for (const [table, chains] of Object.entries(KERNEL_CHAINS)) {
    tables.set(table as TableName, new Map(chains.map((chain) => [chain, []])));
  }
  let commits = 0;
  let failing = false;
  const chainsOf = (table: TableName): Chains => tables.get(table)!;
  return {
    get commits() {
      return commits;
    },
    failNext: () => {
      failing = true;
    },
    flush: (table) => {
      for (const rules of chainsOf(table).values()) rules.length = 0;
    },
    read: async (table): Promise<TableContent> =>
      new Map([...chainsOf(table)].map(([chain, rules]) => [chain, [...rules]])),
    commit: async (transaction: TableTransaction) => {
      if (failing) {
        failing = false;
        throw new OpError(`iptables ${transaction.table}`, 'refused');
      }
      const copy: Chains = new Map(
        [...chainsOf(transaction.table)].map(([c, rules]) => [c, [...rules]]),
      );
      for (const line of transaction.lines) applyLine(copy, line, transaction.table);
      checkTargets(copy, transaction.table);
      tables.set(transaction.table, copy);
      commits++;
    },
    close: async () => {},
  };
}

function applyLine(chains: Chains, line: string, table: TableName): void {
  const refuse: (why: string) => never = (why) => {
    throw new OpError(`iptables ${table}`, `${why}: ${line}`);
  };
  if (line.startsWith(':')) {
    const name = line.slice(1).split(' ', 1)[0]!;
    if (!KERNEL_CHAINS[table].includes(name)) chains.set(name, []);
    return;
  }
  const match = /^-(A|I|D|X|F|R)(?: |--\w+ )(\S+)(?: (\d+))?(?: (.*))?$/.exec(line);
  const [, verb, chain = '', position, rule = ''] = match ?? [];
  const rules = chains.get(chain);
  if (!match || !rules) refuse('no chain by that name');
  switch (verb) {
    case 'A':
      rules.push(rule);
      return;
    case 'I':
      rules.splice(Number(position ?? 1) - 1, 0, rule);
      return;
    case 'R':
      rules.splice(Number(position) - 1, 1, rule);
      return;
    case 'F':
      rules.length = 0;
      return;
    case 'D': {
      const at = position && rule === '' ? Number(position) - 1 : rules.indexOf(rule);
      if (at < 0 || at >= rules.length) refuse('bad rule');
      rules.splice(at, 1);
      return;
    }
    default:
      if (rules.length > 0) refuse('directory not empty');
      chains.delete(chain);
  }
}

// Like the kernel at COMMIT: every jump must lead somewhere.
function checkTargets(chains: Chains, table: string): void {
  for (const rules of chains.values()) {
    for (const rule of rules) {
      const target = /(?:^| )(?:-j|-g|--jump|--goto) (\S+)/.exec(rule)?.[1];
      if (target && /^cali-/.test(target) && !chains.has(target)) {
        throw new OpError(`iptables ${table}`, `no chain by that name: ${target}`);
      }
    }
  }
}

export interface MemoryIpSets extends IpSets {
  readonly commits: number;
  failNext(): void;
}

export function memoryIpSets(): MemoryIpSets {
  let sets = new Map<string, IpSet & { members: Set<string> }>();
  let commits = 0;
  let failing = false;
  return {
    get commits() {
      return commits;
    },
    failNext: () => {
      failing = true;
    },
    read: async (prefix) =>
      [...sets.values()]
        .filter(({ name }) => name.startsWith(prefix))
        .map((set) => ({ ...set, members: new Set(set.members) })),
    sizes: async (prefix) =>
      new Map(
        [...sets.values()]
          .filter(({ name }) => name.startsWith(prefix))
          .map(({ name, members }) => [name, members.size]),
      ),
    commit: async (changes) => {
      if (failing) {
        failing = false;
        throw new OpError('ipset', 'refused');
      }
      const copy = new Map(
        [...sets].map(([name, set]) => [name, { ...set, members: new Set(set.members) }]),
      );
      for (const change of changes) applySetChange(copy, change);
      sets = copy;
      commits++;
    },
    close: async () => {},
  };
}

function applySetChange(
  sets: Map<string, IpSet & { members: Set<string> }>,
  change: IpSetChange,
): void {
  const name = change.kind === 'create' ? change.set.name : change.name;
  const set = sets.get(name);
  const refuse: (why: string) => never = (why) => {
    throw new OpError('ipset', `${why}: ${change.kind} ${name}`);
  };
  switch (change.kind) {
    case 'create':
      if (set) refuse('exists');
      sets.set(name, { ...change.set, members: new Set() });
      return;
    case 'swap': {
      const other = sets.get(change.other);
      if (!set || other?.type !== set.type) refuse('cannot be swapped');
      sets.set(name, { ...other, name });
      sets.set(change.other, { ...set, name: change.other });
      return;
    }
    case 'destroy':
      if (!sets.delete(name)) refuse('no such set');
      return;
    case 'add':
      if (!set || set.members.has(change.member)) refuse('cannot be added');
      set.members.add(change.member);
      return;
    case 'delete':
      if (!set?.members.delete(change.member)) refuse('cannot be deleted');
  }
}
