import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Grouped } from './grouped.ts';

test('groups are sets of values, whatever comes and goes', () => {
  const key = fc.constantFrom('a', 'b');
  const value = fc.constantFrom('1', '2', '3');
  const step = fc.record({ key, value, comes: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const grouped = new Grouped<string, string>();
      const plain = new Map([
        ['a', new Set<string>()],
        ['b', new Set<string>()],
      ]);
      for (const { key, value, comes } of steps) {
        if (comes) grouped.add(key, value);
        else grouped.remove(key, value);
        if (comes) plain.get(key)!.add(value);
        else plain.get(key)!.delete(value);
        for (const [name, values] of plain) assert.deepEqual(grouped.of(name), [...values]);
      }
    }),
  );
});
