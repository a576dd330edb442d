import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIpSets, SaveReader } from './save.ts';

const TEXT = [
  'create cali40a hash:net family inet hashsize 1024 maxelem 1048576 bucketsize 12 initval 0x1',
  'add cali40a 10.0.0.0/8',
  'create other hash:ip family inet hashsize 1024 maxelem 65536',
  'add other 10.0.0.1',
  'create cali60b hash:ip,port family inet6 hashsize 1024 maxelem 7',
  'add cali60b ::ffff:10.0.0.1,tcp:80',
  '',
].join('\n');

test('the text of ipset save in pieces reads as the whole, and only the sets that are asked for', () => {
  const whole = parseIpSets(TEXT);
  assert.deepEqual(
    whole.map(({ name }) => name),
    ['cali40a', 'other', 'cali60b'],
  );
  const cuts = fc.array(fc.nat(TEXT.length), { maxLength: 6 });
  fc.assert(
    fc.property(cuts, fc.constantFrom('', 'cali', 'cali6', 'x'), (at, prefix) => {
      const reader = new SaveReader(prefix);
      const places = [0, ...at.toSorted((a, b) => a - b), TEXT.length];
      for (let i = 1; i < places.length; i++) reader.take(TEXT.slice(places[i - 1], places[i]));
      const expected = whole.filter(({ name }) => name.startsWith(prefix));
      assert.deepEqual(reader.end(), expected);
    }),
  );
});
