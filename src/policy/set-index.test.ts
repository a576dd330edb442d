// The index finds exactly what asking every set about every item finds, after any changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matches } from '../model/selector/match.ts';
import type { Selector } from '../model/selector/selector.ts';
import { type LabelMap, labelsOf } from './read/labels.ts';
import type { SetDefinition } from './read/parsed-rule.ts';
import { type Item, SetIndex } from './set-index.ts';

const label = fc.constantFrom('a', 'b', 'pcns.a', 'projectcalico.org/namespace');
const value = fc.constantFrom('1', '2');
const labels = fc.dictionary(label, value, { maxKeys: 3 });
const { selector } = fc.letrec<{ selector: Selector }>((tie) => ({
  selector: fc.oneof(
    { maxDepth: 2 },
    fc.record({ kind: fc.constantFrom('all', 'global') }),
    fc.record({ kind: fc.constant('has'), label }),
    fc.record({ kind: fc.constantFrom('equals', 'notEquals', 'startsWith'), label, value }),
    fc.record({
      kind: fc.constantFrom('in', 'notIn'),
      label,
      values: fc.constantFrom(['1'], ['1', '2']),
    }),
    fc.record({ kind: fc.constant('not'), term: tie('selector') }),
    fc.record({
      kind: fc.constantFrom('and', 'or'),
      terms: fc.array(tie('selector'), { minLength: 1, maxLength: 3 }),
    }),
  ) as fc.Arbitrary<Selector>,
}));
const item: fc.Arbitrary<Item> = fc.record({
  labels,
  profiles: fc.constantFrom([], ['p'], ['q', 'p']),
  members: fc.subarray(['10.0.0.1', '10.0.0.0/8', 'fd00::1']),
  ports: fc.constant([]),
});
const key = fc.constantFrom('x', 'y', 'z');
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key, item }),
  fc.record({ kind: fc.constant('remove' as const), key }),
  fc.record({ kind: fc.constant('profile' as const), name: fc.constantFrom('p', 'q'), labels }),
  fc.record({
    kind: fc.constant('activate' as const),
    selectors: fc.array(fc.tuple(fc.constantFrom(0, 1, 2), selector), { maxLength: 3 }),
  }),
);

test('members are those of all items that the selector matches; what was handed out never changes', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const profiles = new Map<string, LabelMap>();
      const items = new Map<string, Item>();
      const index = new SetIndex((name) => profiles.get(name));
      let active = new Map<string, SetDefinition>();
      const held = new Map<string, { set: ReadonlySet<string>; text: string }>();
      for (const change of steps) {
        if (change.kind === 'put') index.putItem(change.key, change.item);
        else if (change.kind === 'remove') index.removeItem(change.key);
        if (change.kind === 'put') items.set(change.key, change.item);
        else if (change.kind === 'remove') items.delete(change.key);
        else if (change.kind === 'profile') {
          profiles.set(change.name, change.labels);
          index.profileChanged(change.name);
        } else {
          const made = change.selectors.map(([, s]) => [JSON.stringify(s), s] as const);
          active = new Map(made.map(([id, s]) => [id, { id, selector: s }]));
          index.activate(active);
        }
        for (const { set, text } of held.values()) assert.equal([...set].join(), text);
        for (const [id, definition] of active)
          for (const family of [4, 6] as const) {
            const expected = new Set<string>();
            for (const one of items.values()) {
              const inherited = one.profiles.map((name) => profiles.get(name));
              if (!matches(definition.selector, labelsOf(one.labels, inherited))) continue;
              for (const member of one.members)
                if (member.includes(':') === (family === 6)) expected.add(member);
            }
            const set = index.members(id, family);
            assert.deepEqual([...set].sort(), [...expected].sort());
            held.set(`${id} ${family}`, { set, text: [...set].join() });
          }
      }
    }),
    { numRuns: 1000 },
  );
});
