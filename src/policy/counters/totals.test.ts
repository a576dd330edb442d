import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CountedRule } from './owners.ts';
import { bounded, type Reading, RuleTotals } from './totals.ts';

const rule = (number: number, words = `rule ${number}`): CountedRule => ({
  tier: 'default',
  owner: 'NetworkPolicy ns/p',
  endpoint: '',
  direction: 'ingress',
  rule: number,
  action: 'Allow',
  words,
});
const reading = (hash: string, packets: number, counts = rule(1)): Reading => ({
  family: 4,
  table: 'filter',
  chain: 'cali-pi-p',
  hash,
  packets,
  bytes: 100 * packets,
  counts,
});
const packetsOf = (totals: RuleTotals) => totals.perRule.map(({ packets }) => packets);

test('whatever is rewritten between readings, totals are the sum of what was counted', () => {
  const step = fc.record({
    more: fc.array(fc.nat(9), { minLength: 2, maxLength: 2 }),
    rewritten: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const totals = new RuleTotals();
      const expected = [0, 0];
      let kernel = [0, 0];
      let version = 0;
      for (const { more, rewritten } of steps) {
        if (rewritten) {
          kernel = [0, 0];
          version++; // a rule before them is another: new hashes
        }
        for (const i of [0, 1]) {
          kernel[i]! += more[i]!;
          expected[i]! += more[i]!;
        }
        totals.take([0, 1].map((i) => reading(`h${i}v${version}`, kernel[i]!, rule(i + 1))));
        assert.deepEqual(packetsOf(totals), expected);
      }
    }),
  );
});

test('a repaired chain: the same hashes, counted backwards', () => {
  const totals = new RuleTotals();
  totals.take([reading('a', 7), reading('b', 1, rule(2))]);
  totals.take([reading('a', 2), reading('b', 1, rule(2))]);
  assert.deepEqual(packetsOf(totals), [9, 2]);
});

test('both families, and a rule that says something else now', () => {
  const totals = new RuleTotals();
  totals.take([reading('a', 1), { ...reading('a', 2), family: 6 }]);
  assert.deepEqual(packetsOf(totals), [3]);
  totals.take([reading('b', 5, rule(1, 'another'))]);
  assert.deepEqual(packetsOf(totals), [5]);
  assert.deepEqual(
    totals.perOwner.map(({ packets, bytes }) => [packets, bytes]),
    [[8, 800]],
    'the policy goes on',
  );
  totals.take([]);
  assert.deepEqual(totals.perRule, []);
});

test('series are bounded: the rest is one', () => {
  const totals = new RuleTotals();
  const owned = (name: string, packets: number) =>
    reading(name, packets, { ...rule(1), owner: name });
  totals.take([owned('a', 1), owned('b', 2), owned('c', 3)]);
  const owners = bounded(totals.perOwner, 1).map(({ owner, packets }) => [owner, packets]);
  assert.deepEqual(owners, [
    ['a', 1],
    ['other', 5],
  ]);
});
