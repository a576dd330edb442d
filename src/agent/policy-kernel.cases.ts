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

type Chains = Map<TableName, Map<string, string[]>>;

const emptyTables = (): Chains =>
  new Map(
    Object.entries(KERNEL_CHAINS).map(([table, names]) => [
      table as TableName,
      new Map(names.map((name) => [name, []])),
    ]),
  );

export class StrictKernel {
  readonly chains = emptyTables();
  readonly ipv6Chains = emptyTables();
  readonly sets = new Map<string, IpSet & { readonly members: Set<string> }>();
  commits = 0;
  refuse = 0;
  hold: Promise<void> | undefined;
  /** Called with every table as it stands after a transaction. */
  onCommit: (table: TableName, chains: ReadonlyMap<string, readonly string[]>) => void = () => {};

  readonly tables = this.tablesOf(this.chains);
  readonly ipv6Tables = this.tablesOf(this.ipv6Chains);

  private tablesOf(chains: Chains): Tables {
    return {
      read: async (table) => structuredClone(chains.get(table)!),
      commit: async ({ table, lines }) => {
        await this.gate('iptables-restore');
        const next = structuredClone(chains.get(table)!);
        for (const line of lines) edit(next, line);
        this.check(next, chains === this.chains ? 'inet' : 'inet6');
        chains.set(table, next);
        this.commits++;
        this.onCommit(table, next);
      },
      close: async () => undefined,
    };
  }

  readonly ipSets: IpSets = {
    read: async (prefix) =>
      structuredClone([...this.sets.values()].filter(({ name }) => name.startsWith(prefix))),
    sizes: async () => new Map([...this.sets].map(([name, { members }]) => [name, members.size])),
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
        if (change.kind === 'swap') {
          const other = this.sets.get(change.other);
          assert.equal(other?.type, set.type, 'sets of two types do not change places');
          this.sets.set(change.name, { ...other!, name: change.name });
          this.sets.set(change.other, { ...set, name: change.other });
        }
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
      if (
        /^cali[46]0(?:(?:n|s|svc|svcnoport):|all-hosts-net)/.test(name) &&
        !rules.some((rule) => rule.includes(` ${name} `))
      )
        this.sets.delete(name);
  }

  /** Everything as sorted text. */
  text(): readonly string[] {
    const textOf = (all: Chains, family: string) =>
      [...all].flatMap(([table, chains]) =>
        [...chains].map(([name, rules]) => `${family}${table} ${name}: ${rules.join('; ')}`),
      );
    const tables = [...textOf(this.chains, ''), ...textOf(this.ipv6Chains, 'ipv6 ')];
    const sets = [...this.sets.values()].map(
      ({ name, type, members }) => `${name} ${type} ${[...members].sort().join(' ')}`,
    );
    return [...tables, ...sets].sort();
  }

  private rules(): readonly string[] {
    const tables = [...this.chains.values(), ...this.ipv6Chains.values()];
    return tables.flatMap((chains) => [...chains.values()].flat());
  }

  private async gate(op: string): Promise<void> {
    await this.hold;
    if (this.refuse === 0) return;
    this.refuse--;
    throw new OpError(op, 'line 1 failed');
  }

  private check(chains: ReadonlyMap<string, readonly string[]>, family: 'inet' | 'inet6'): void {
    for (const rule of [...chains.values()].flat()) {
      const target = /--(?:jump|goto) (cali-\S+)/.exec(rule)?.[1];
      assert.ok(!target || chains.has(target), `unknown chain ${target}`);
      for (const [, set] of rule.matchAll(/--match-set (\S+)/g))
        assert.equal(this.sets.get(set!)?.family, family, `unknown set ${set}`);
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
