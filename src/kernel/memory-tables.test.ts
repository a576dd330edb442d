import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIpSets } from './ipset/save.ts';
import { chooseBackend, parseSave, printSave } from './iptables/save.ts';
import { memoryIpSets, memoryTables } from './memory-tables.ts';
import { refusalText } from './refusal.ts';
import { tablesCases } from './tables.cases.ts';

tablesCases('memory', async () => ({
  tables: memoryTables(),
  ipSets: memoryIpSets(),
  done: () => {},
}));

test('iptables-save text: parse and print are inverse', () => {
  const plain = fc.stringMatching(/^-[pjs] [a-z0-9./]{1,12}$/);
  const comment = fc.stringMatching(/^[ -~]{1,20}$/).map((text) => JSON.stringify(text));
  const rule = fc.oneof(
    plain,
    fc.tuple(comment, plain).map(([text, rest]) => `-m comment --comment ${text} ${rest}`),
  );
  const chain = fc.stringMatching(/^cali-[A-Za-z0-9_-]{1,20}$/);
  fc.assert(
    fc.property(fc.dictionary(chain, fc.array(rule)), (chains) => {
      const content = new Map([['INPUT', ['-j cali-x']], ...Object.entries(chains)]);
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

test('the backend: kubelet has chosen, or else the one that holds more', () => {
  const hint = '*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n';
  const canary = '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n';
  const ours = '*filter\n:cali-A - [0:0]\n-A cali-A -j RETURN\nCOMMIT\n';
  const foreign = '*filter\n:DOCKER - [0:0]\n-A DOCKER -j RETURN\nCOMMIT\n';
  const cases = [
    ['', '', 'nft'],
    [hint, ours, 'nft'],
    [ours, canary, 'legacy'],
    ['', ours, 'legacy'],
    [ours, ours, 'nft'],
    ['', foreign, 'nft'],
  ] as const;
  for (const [nft, legacy, expected] of cases) assert.equal(chooseBackend(nft, legacy), expected);
});

test('a refusal in words, with the line that is meant', () => {
  const lines = ['*filter', '-A cali-A -j RETURN', '-A cali-none -j DROP', 'COMMIT'];
  const named = '-A cali-none -j DROP';
  const text = (errors: string): string | undefined => refusalText(errors, 4, lines);
  for (const [errors, refused] of [
    ['iptables-nft-restore: line 7 failed: No chain/target/match by that name.\n', named],
    ['iptables-restore v1.8.9 (legacy): bad\n\nError occurred at line: 7\nTry `x -h`\n', named],
    ['iptables-nft-restore v1.8.9 (nf_tables): \nline 6: CHAIN_DEL failed\n', lines[1]],
    ['ipset v7.17: Error in line 7: Syntax error\n', named],
  ] as const) {
    assert.ok(text(errors)?.endsWith(`, refused: ${refused}`), errors);
    assert.doesNotMatch(text(errors)!, /\n|Try/);
  }
  assert.equal(
    text("Chain 'x' does not exist\nError occurred at line: 8\n")?.includes('refused'),
    false,
  );
  assert.equal(text('line 99 failed'), 'line 99 failed');
  assert.equal(text('\n'), undefined);
});
