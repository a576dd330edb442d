import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pages } from './pages.ts';

test('pages and their snapshots hold what an array and its copies hold', () => {
  const place = fc.nat(9000);
  const step = fc.oneof(
    fc.record({ at: place, value: fc.option(fc.nat(9), { nil: undefined }) }),
    fc.constant('snapshot' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(place), (steps, asked) => {
      const pages = new Pages<number>();
      const model: (number | undefined)[] = [];
      const kept: [ReturnType<typeof pages.snapshot>, (number | undefined)[]][] = [[pages, model]];
      for (const taken of steps) {
        if (taken === 'snapshot') {
          kept.push([pages.snapshot(), model.slice()]);
          continue;
        }
        pages.set(taken.at, taken.value);
        model[taken.at] = taken.value;
      }
      const places = [...asked, ...steps.flatMap((s) => (s === 'snapshot' ? [] : [s.at]))];
      for (const [there, wanted] of kept) {
        assert.equal(there.length, wanted.length);
        for (const at of places) assert.equal(there.get(at), wanted[at]);
      }
    }),
  );
});
