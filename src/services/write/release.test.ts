import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryTables } from '../../kernel/memory-tables.ts';
import { ROUTE_LOCALNET, releaseLocalnet, releaseServices } from './release.io.ts';

/** What was done, in order, on a node with these rules. */
async function node(...raw: readonly string[]) {
  const tables = memoryTables();
  if (raw.length > 0) await tables.commit({ table: 'raw', lines: raw });
  const done: string[] = [];
  const commit = tables.commit.bind(tables);
  tables.commit = (transaction) => {
    done.push(...transaction.lines.map((line) => `${transaction.table} ${line}`));
    return commit(transaction);
  };
  const kernel = { setSysctl: (key: string, value: string) => void done.push(`${key} ${value}`) };
  return { tables, kernel, done };
}

const GUARD = [
  ':KUBE-PROXY-LOCALNET - [0:0]',
  '-A KUBE-PROXY-LOCALNET ! -i lo -d 127.0.0.0/8 -j DROP',
  '-A PREROUTING -j KUBE-PROXY-LOCALNET',
];

test('the guard of loopback addresses goes after what it guards against, whoever takes it', async () => {
  const expected = [
    `${ROUTE_LOCALNET} 0`,
    'raw :KUBE-PROXY-LOCALNET - [0:0]',
    'raw -D PREROUTING -j KUBE-PROXY-LOCALNET',
    'raw -X KUBE-PROXY-LOCALNET',
  ];
  const one = await node(...GUARD);
  assert.equal(await releaseLocalnet(one.kernel, one.tables), true);
  assert.deepEqual(one.done, expected);
  const other = await node(...GUARD);
  await releaseServices(other.kernel, other.tables, undefined);
  assert.deepEqual(other.done, expected);
});

test('where we had not switched it on, the sysctl is another’s', async () => {
  const { tables, kernel, done } = await node();
  assert.equal(await releaseLocalnet(kernel, tables), false);
  assert.equal(await releaseServices(kernel, tables, memoryTables()), 0);
  assert.deepEqual(done, []);
});

test('when the kernel refuses, the guard stays', async () => {
  const { tables, done } = await node(...GUARD);
  const setSysctl = (): never => {
    throw new Error('read-only');
  };
  await assert.rejects(releaseLocalnet({ setSysctl }, tables), /read-only/);
  assert.deepEqual(done, []);
});
