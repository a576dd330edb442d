// A strict packet filter in memory for tests of the policy engine: besides keeping tables and sets
// it refuses what a kernel would refuse (unknown chains and sets, deleting what is in use), and
// counts. `refuse` makes the next commits fail, `hold` makes them wait.
import assert from 'node:assert/strict';
import { OpError } from '../base/op-error.ts';
import type { IpSet, IpSets, TableName, Tables } from '../kernel/tables.ts';

const KERNEL_CHAINS: Readonly<Record<TableName, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

export class StrictKernel {
  readonly chains = new Map<TableName, Map<string, string[]>>();
  readonly sets = new Map<string, IpSet & { readonly members: Set<string> }>();
  commits = 0;
  refuse = 0;
  hold: Promise<void> | undefined;
  /** Called with every table as it stands after a transaction. */
  onCommit: (table: TableName, chains: ReadonlyMap<string, readonly string[]>) => void = () => {};

  constructor() {
    for (const [table, names] of Object.entries(KERNEL_CHAINS))
      this.chains.set(table as TableName, new Map(names.map((name) => [name, []])));
  }

  readonly tables: Tables = {
    read: async (table) => structuredClone(this.chains.get(table)!),
    commit: async ({ table, lines }) => {
      await this.gate('iptables-restore');
      const next = structuredClone(this.chains.get(table)!);
      for (const line of lines) edit(next, line);
      this.check(next);
      this.chains.set(table, next);
      this.commits++;
      this.onCommit(table, next);
    },
    close: async () => undefined,
  };

  readonly ipSets: IpSets = {
    read: async (prefix) =>
      structuredClone([...this.sets.values()].filter(({ name }) => name.startsWith(prefix))),
    commit: async (changes) => {
      await this.gate('ipset restore');
      this.commits++;
      for (const change of changes) {
        if (change.kind === 'create') {
          assert.ok(!this.sets.has(change.set.name), `set ${change.set.name} exists`);
          this.sets.set(change.set.name, { ...change.set, members: new Set() });
          continue;
        }
        const set = this.sets.get(change.name);
        assert.ok(set, `${change.kind} of unknown set ${change.name}`);
        if (change.kind === 'add') set.members.add(change.member);
        if (change.kind === 'delete') set.members.delete(change.member);
        if (change.kind === 'destroy') {
          assert.ok(!this.rules().some((rule) => rule.includes(` ${change.name} `)), 'set in use');
          this.sets.delete(change.name);
        }
      }
    },
    close: async () => undefined,
  };

  /** Destroys sets that no rule names; the fixed ones stay. */
  dropUnusedSets(): void {
    const rules = this.rules();
    for (const name of this.sets.keys())
      if (/^cali40[ns]:/.test(name) && !rules.some((rule) => rule.includes(` ${name} `)))
        this.sets.delete(name);
  }

  /** Everything as sorted text. */
  text(): readonly string[] {
    const tables = [...this.chains].flatMap(([table, chains]) =>
      [...chains].map(([name, rules]) => `${table} ${name}: ${rules.join('; ')}`),
    );
    const sets = [...this.sets.values()].map(
      ({ name, type, members }) => `${name} ${type} ${[...members].sort().join(' ')}`,
    );
    return [...tables, ...sets].sort();
  }

  private rules(): readonly string[] {
    return [...this.chains.values()].flatMap((chains) => [...chains.values()].flat());
  }

  private async gate(op: string): Promise<void> {
    await this.hold;
    if (this.refuse === 0) return;
    this.refuse--;
    throw new OpError(op, 'line 1 failed');
  }

  private check(chains: ReadonlyMap<string, readonly string[]>): void {
    for (const rule of [...chains.values()].flat()) {
      const target = /--(?:jump|goto) (cali-\S+)/.exec(rule)?.[1];
      assert.ok(!target || chains.has(target), `unknown chain ${target}`);
      for (const [, set] of rule.matchAll(/--match-set (\S+)/g))
        assert.ok(this.sets.has(set!), `unknown set ${set}`);
    }
  }
}

function edit(chains: Map<string, string[]>, line: string): void {
  const declared = /^:(\S+) - \[0:0\]$/.exec(line)?.[1];
  if (declared) {
    chains.set(declared, []);
    return;
  }
  const [, verb, name = '', text = ''] = /^-([AIDX]) (\S+) ?(.*)$/.exec(line) ?? [];
  const rules = chains.get(name);
  assert.ok(rules, `line names an unknown chain: ${line}`);
  if (verb === 'A') rules.push(text);
  if (verb === 'I') rules.unshift(text);
  if (verb === 'D') {
    const at = rules.indexOf(text);
    assert.ok(at >= 0, `no such rule: ${line}`);
    rules.splice(at, 1);
  }
  if (verb === 'X') {
    assert.equal(rules.length, 0, `chain is not empty: ${line}`);
    chains.delete(name);
  }
}
