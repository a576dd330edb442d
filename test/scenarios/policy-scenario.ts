// Recorded scenarios: a datastore, and the tables and sets that Felix makes of it on node1. The
// files are plain data: `datastore.json` is key -> value; `tables.txt` lists `[table]`, chains and
// their rules as `<hash>  <rule as iptables-save prints it>`; `sets.txt` lists sets and members.
// No endpoint asks for a DSCP, so its rule is left out, which changes the hashes of one chain; there
// the hash is written `****************` and only the text is compared.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IpSets, Tables } from '../../src/kernel/tables.ts';
import { ip } from '../../src/net/ip.ts';
import type { CalculatorOptions } from '../../src/policy/calculate.ts';
import { TABLES } from '../../src/policy/desired.ts';

export interface RecordedRule {
  readonly hash: string;
  readonly text: string;
}

export interface Scenario {
  readonly name: string;
  readonly datastore: ReadonlyMap<string, string>;
  /** Table -> chain -> rules. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, readonly RecordedRule[]>>;
  /** Set -> type and sorted members. */
  readonly sets: ReadonlyMap<string, readonly string[]>;
}

export const ANY_HASH = '*'.repeat(16);

/** How the recordings were made. */
export const SCENARIO_OPTIONS: CalculatorOptions = {
  node: 'node1',
  settings: { endpointToHostAction: 'DROP', ipipEnabled: false },
  nodeAddress: () => ip('10.244.98.1'),
};

export const scenarios = (): readonly Scenario[] =>
  readdirSync(import.meta.dirname, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.startsWith('policy-'))
    .map(({ name }) => readScenario(name));

function readScenario(name: string): Scenario {
  const read = (file: string): string =>
    readFileSync(join(import.meta.dirname, name, file), 'utf8');
  const stored = JSON.parse(read('datastore.json')) as Record<string, object>;
  return {
    name,
    datastore: new Map(Object.entries(stored).map(([key, value]) => [key, JSON.stringify(value)])),
    tables: parseTables(read('tables.txt')),
    sets: new Map(
      blocks(read('sets.txt').split('\n')).map(([head, members]) => {
        const [set = '', type = ''] = head.split(' ');
        return [set, [type, ...members]];
      }),
    ),
  };
}

function parseTables(text: string): Scenario['tables'] {
  const sections = text.split(/^\[(\w+)\]\n/m).slice(1);
  const tables = new Map<string, ReadonlyMap<string, readonly RecordedRule[]>>();
  for (let i = 0; i < sections.length; i += 2) {
    const chains = blocks(sections[i + 1]!.split('\n')).map(
      ([chain, rules]) =>
        [chain, rules.map((r) => ({ hash: r.slice(0, 16), text: r.slice(18) }))] as const,
    );
    tables.set(sections[i]!, new Map(chains));
  }
  return tables;
}

/** Lines at the margin with the indented lines below them. */
function blocks(lines: readonly string[]): readonly (readonly [string, readonly string[]])[] {
  const found: [string, string[]][] = [];
  for (const line of lines) {
    if (line.startsWith('    ')) found.at(-1)![1].push(line.trim());
    else if (line !== '') found.push([line, []]);
  }
  return found;
}

/** No chain, rule or set of ours is there, nor anybody else's rule. */
export async function assertNothingLeft(tables: Tables, ipSets: IpSets): Promise<void> {
  for (const table of TABLES)
    for (const [chain, rules] of await tables.read(table)) {
      assert.ok(!chain.startsWith('cali-'), `${table} ${chain} is left`);
      assert.deepEqual(rules, [], `${table} ${chain}`);
    }
  for (const prefix of ['cali4', 'cali6']) assert.deepEqual(await ipSets.read(prefix), []);
}
