import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIpSets } from './ipset/save.ts';
import { parseSave, printSave } from './iptables/save.ts';
import { memoryIpSets, memoryTables } from './memory-tables.ts';
import { tablesCases } from './tables.cases.ts';

tablesCases('memory', async () => ({
  tables: memoryTables(),
  ipSets: memoryIpSets(),
  done: () => {},
}));

test('iptables-save text: parse and print are inverse', () => {
  const rule = fc.stringMatching(/^-[pjs] [a-z0-9./]{1,12}$/);
  const chain = fc.stringMatching(/^cali-[A-Za-z0-9_-]{1,20}$/);
  fc.assert(
    fc.property(fc.dictionary(chain, fc.array(rule)), (chains) => {
      const content = new Map(Object.entries(chains));
      assert.deepEqual(parseSave(printSave('filter', content), 'filter'), content);
    }),
  );
});

test('iptables-save text: only the asked table', () => {
  const text =
    '# x\n*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j RETURN\nCOMMIT\n*filter\n:INPUT ACCEPT [1:2]\nCOMMIT\n';
  assert.deepEqual([...parseSave(text, 'filter')], [['INPUT', []]]);
});

test('ipset save text', () => {
  const text =
    'create cali40x hash:ip,port family inet hashsize 1024 maxelem 1048576 bucketsize 12\nadd cali40x 10.0.0.1,tcp:80\ncreate other list:set size 8\n';
  const [set, ...rest] = parseIpSets(text);
  assert.equal(rest.length, 0);
  assert.deepEqual(
    [set?.type, set?.maxElements, [...(set?.members ?? [])]],
    ['hash:ip,port', 1048576, ['10.0.0.1,tcp:80']],
  );
});
