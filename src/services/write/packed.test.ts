import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pack, rulesIn, unpack } from './packed.ts';

test('what was packed is unpacked, whole or chain by chain; chains without rules are left out', () => {
  const rule = fc.string({ minLength: 1 }).filter((text) => !/[\t\n]/.test(text));
  const names = fc.constantFrom('A', 'AB', 'B', 'KUBE-SVC-A', 'SVC-A');
  fc.assert(
    fc.property(fc.dictionary(names, fc.array(rule, { maxLength: 3 })), (all) => {
      const chains = new Map(Object.entries(all));
      const packed = pack(chains);
      const kept = [...chains].filter(([, rules]) => rules.length > 0);
      assert.deepEqual([...unpack(packed)], kept);
      for (const name of ['A', 'AB', 'B', 'KUBE-SVC-A', 'SVC-A'])
        assert.deepEqual(rulesIn(packed, name), chains.get(name) ?? []);
    }),
  );
});
