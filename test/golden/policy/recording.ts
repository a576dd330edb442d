// What the real Felix made of a recorded datastore: reads one scenario's files.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TableName } from '../../../src/kernel/tables.ts';

/** One scenario: the datastore's keys, and the state that the recorded node's kernel held. */
export interface Recording {
  readonly keys: ReadonlyMap<string, string>;
  /** Rules by table and chain, as `iptables-save` prints them without `-A CHAIN`. */
  readonly tables: ReadonlyMap<TableName, ReadonlyMap<string, readonly string[]>>;
  /** `create` and `add` lines, sorted. */
  readonly ipSets: readonly string[];
}

/** The folders beside this file. */
export const SCENARIOS = [
  '1-endpoints',
  '2-kubernetes-policy',
  '3-tiers',
  '4-rule-matches',
  '5-host-endpoints',
] as const;

/** The recorded node, its address, and its Felix's settings. */
export const NODE = 'node1';
export const NODE_ADDRESS = '10.244.98.1';

/** Parts of a feature that marks packets which leave the cluster; we do not have it. */
const DSCP = /dscp/;

export function readRecording(scenario: string): Recording {
  const lines = (file: string): readonly string[] =>
    readFileSync(join(import.meta.dirname, scenario, file), 'utf8')
      .trimEnd()
      .split('\n');
  return {
    keys: keysOf(lines('etcd.txt')),
    tables: parseTables(lines('iptables-save.txt')),
    ipSets: lines('ipset-save.txt').filter((line) => !DSCP.test(line)),
  };
}

// A key in one line, its value indented in the next.
function keysOf(lines: readonly string[]): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  let key = '';
  for (const line of lines)
    if (line.startsWith('/')) key = line;
    else keys.set(key, line.trim());
  return keys;
}

/** Reads what `iptables-save` prints. */
export function parseTables(lines: readonly string[]): Recording['tables'] {
  const tables = new Map<TableName, Map<string, string[]>>();
  let chains = new Map<string, string[]>();
  for (const line of lines) {
    const [, table] = /^\*(\w+)$/.exec(line) ?? [];
    const [, chain] = /^:(\S+) /.exec(line) ?? [];
    const [, owner, rule] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    if (table) {
      chains = new Map();
      tables.set(table as TableName, chains);
    } else if (chain && !DSCP.test(chain)) chains.set(chain, []);
    else if (owner && !DSCP.test(line)) chains.get(owner)!.push(rule!);
  }
  return tables;
}
