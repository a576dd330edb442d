import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LargeCommunity, largeInOrder } from './community.ts';

test('large communities in order, each once: as comparing pairs says', () => {
  const part = fc.constantFrom(0, 1, 65_536, 2 ** 31, 2 ** 32 - 1);
  const one = fc.tuple(part, part, part) as fc.Arbitrary<LargeCommunity>;
  fc.assert(
    fc.property(fc.array(one, { maxLength: 60 }), (values) => {
      const wanted = [...new Map(values.map((value) => [value.join(), value])).values()].sort(
        (a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2],
      );
      assert.deepEqual(largeInOrder(values), wanted);
    }),
  );
});
