// From the stored keys of each recorded scenario we make the chains that the real Felix made, rule
// for rule: equal hashes mean an equal chain name, equal rules, and an equal order. Sets likewise.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TableName } from '../../../src/kernel/tables.ts';
import { ip } from '../../../src/net/ip.ts';
import { PolicyCalculator } from '../../../src/policy/calculate.ts';
import type { Desired } from '../../../src/policy/desired.ts';
import { hashOf, type Rule, renderChain } from '../../../src/policy/render/rule.ts';
import { staticChains } from '../../../src/policy/render/static-chains.ts';
import { NODE, NODE_ADDRESS, type Recording, readRecording, SCENARIOS } from './recording.ts';

const settings = { endpointToHostAction: 'DROP', ipipEnabled: false } as const;

function calculate({ keys }: Recording): { desired: Desired; problems: readonly string[] } {
  const calculator = new PolicyCalculator({
    node: NODE,
    settings,
    nodeAddress: () => ip(NODE_ADDRESS),
  });
  for (const [key, value] of keys) calculator.put(key, value);
  return { desired: calculator.of(4).desired(), problems: calculator.problems() };
}

/** The rule of the feature that we do not have, before which every other hash would be another. */
const DSCP: Rule = {
  match: [
    '-m set --match-set cali40dscp-src-net src',
    '-m set ! --match-set cali40network-ip-pools dst',
    '-m set ! --match-set cali40this-host dst',
  ].join(' '),
  action: '--jump cali-egress-dscp',
  comments: ['set dscp for traffic leaving cluster.'],
};

/** `table chain: hashes`. */
function linesOf(desired: Desired): readonly string[] {
  const lines: string[] = [];
  const add = (table: TableName, chain: string, rules: readonly { hash: string }[]): void => {
    if (rules.length > 0)
      lines.push(`${table} ${chain}: ${rules.map(({ hash }) => hash).join(' ')}`);
  };
  for (const [table, { chains, inserts, appends }] of desired.tables) {
    for (const chain of new Set([...inserts.keys(), ...appends.keys()]))
      add(table, chain, [...(inserts.get(chain) ?? []), ...(appends.get(chain) ?? [])]);
    for (const { name, rules } of chains.values())
      if (table !== 'mangle' || name !== 'cali-POSTROUTING') add(table, name, rules);
  }
  const mangle = staticChains('mangle', 4, settings);
  const { name, rules } = mangle.find((chain) => chain.name === 'cali-POSTROUTING')!;
  add('mangle', name, renderChain({ name, rules: [DSCP, ...rules] }).rules.slice(1));
  return lines.toSorted();
}

const recordedLines = ({ tables }: Recording): readonly string[] =>
  [...tables].flatMap(([table, chains]) =>
    [...chains]
      .filter(([, rules]) => rules.length > 0)
      .map(([chain, rules]) => `${table} ${chain}: ${rules.map((rule) => hashOf(rule)).join(' ')}`),
  );

const namesOf = (tables: Iterable<readonly [string, Iterable<string>]>): readonly string[] =>
  [...tables]
    .flatMap(([table, names]) => [...names].map((name) => `${table} ${name}`))
    .filter((name) => name.includes(' cali-'))
    .toSorted();

const setLines = ({ ipSets }: Desired): readonly string[] =>
  [...ipSets.values()]
    .flatMap(({ meta, members }) => [
      `create ${meta.name} ${meta.type} family ${meta.family} maxelem ${meta.maxElements}`,
      ...[...members].map((member) => `add ${meta.name} ${member}`),
    ])
    .toSorted();

for (const scenario of SCENARIOS)
  test(`${scenario}: chains, rules, hashes and sets as Felix makes them`, () => {
    const recording = readRecording(scenario);
    const { desired, problems } = calculate(recording);
    assert.deepEqual(problems, []);
    assert.deepEqual(setLines(desired), recording.ipSets.toSorted());
    assert.deepEqual(
      namesOf([...desired.tables].map(([table, { chains }]) => [table, chains.keys()])),
      namesOf([...recording.tables].map(([table, chains]) => [table, chains.keys()])),
    );
    assert.deepEqual(linesOf(desired), recordedLines(recording).toSorted());
  });
