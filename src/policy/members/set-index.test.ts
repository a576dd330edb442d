// The index finds exactly what asking every set about every item finds, after any changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LabelMap, labelsOf } from '../../model/selector/labels.ts';
import { matches } from '../../model/selector/match.ts';
import type { Selector } from '../../model/selector/selector.ts';
import type { Family } from '../../net/ip.ts';
import type { SetDefinition } from '../read/parsed-rule.ts';
import { runWhole } from '../run-whole.ts';
import { IdTable } from './id-table.ts';
import { type Members, memberChange } from './members.ts';
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

/** As if every selector were asked about every item. */
function expectedMembers(
  { selector: wanted }: SetDefinition,
  items: Iterable<Item>,
  profiles: ReadonlyMap<string, LabelMap>,
  family: Family,
): readonly string[] {
  const members = new Set<string>();
  for (const { labels: own, profiles: names, members: texts } of items) {
    const inherited = names.map((name) => profiles.get(name));
    if (!matches(wanted, labelsOf(own, inherited))) continue;
    for (const text of texts) if (text.includes(':') === (family === 6)) members.add(text);
  }
  return [...members].sort();
}

interface Held {
  readonly members: Members;
  readonly texts: readonly string[];
}

const sorted = (members: Iterable<string>): readonly string[] => [...members].sort();

function assertUnchanged(held: Iterable<Held>): void {
  for (const { members, texts } of held) {
    assert.deepEqual(sorted(members), texts);
    assert.equal(members.size, texts.length);
    for (const text of ['10.0.0.1', '10.0.0.0/8', 'fd00::1'])
      assert.equal(members.has(text), texts.includes(text));
  }
}

function assertChange(before: Held, now: Members): void {
  const { added, removed } = memberChange(before.members, now);
  const [come, gone] = [[...added], [...removed]];
  const left = before.texts.filter((text) => !gone.includes(text));
  assert.deepEqual(sorted([...left, ...come]), sorted(now));
  for (const text of come) assert.ok(!before.texts.includes(text));
  for (const text of gone) assert.ok(before.texts.includes(text));
}

test('members are those of all items that the selector matches; what was handed out never changes', () => {
  const steps = fc.array(fc.tuple(step, fc.nat(3)), { maxLength: 12 });
  fc.assert(
    fc.property(steps, (changes) => {
      const profiles = new Map<string, LabelMap>();
      const items = new Map<string, Item>();
      const index = new SetIndex((name) => profiles.get(name));
      let active = new Map<string, SetDefinition>();
      let held = new Map<string, Held[]>();
      for (const [change, pieces] of changes) {
        if (change.kind === 'put') index.putItem(change.key, change.item);
        else if (change.kind === 'remove') index.removeItem(change.key);
        if (change.kind === 'put') items.set(change.key, change.item);
        else if (change.kind === 'remove') items.delete(change.key);
        else if (change.kind === 'profile') {
          profiles.set(change.name, change.labels);
          index.profileChanged(change.name);
        } else if (change.kind === 'activate') {
          const made = change.selectors.map(([, s]) => [JSON.stringify(s), s] as const);
          const former = active;
          active = new Map(made.map(([id, s]) => [id, { id, selector: s }]));
          const come = [...active.values()].filter(({ id }) => !former.has(id));
          const gone = [...former.keys()].filter((id) => !active.has(id));
          index.keep(come, gone);
          held = new Map([...held].filter(([id]) => !gone.some((one) => id.startsWith(one))));
        }
        for (const all of held.values()) assertUnchanged(all);
        const asking = index.ask();
        let isThrough = false;
        for (let piece = 0; piece < pieces; piece++) isThrough ||= asking.next().done ?? false;
        if (!isThrough && pieces !== 3) continue; // the next change finds it half-way
        runWhole(asking);
        for (const [id, definition] of active)
          for (const family of [4, 6] as const) {
            const members = index.members(id, family);
            const texts = sorted(members);
            assert.deepEqual(texts, expectedMembers(definition, items.values(), profiles, family));
            const former = held.get(`${id} ${family}`) ?? [];
            for (const before of former) assertChange(before, members);
            held.set(`${id} ${family}`, [...former, { members, texts }]);
          }
      }
      for (const all of held.values()) assertUnchanged(all);
    }),
    { numRuns: 1000 },
  );
});

test('a table of numbers is a set of numbers', () => {
  const changes = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 60 })), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(changes, fc.constantFrom(1, 2, 2 ** 26), (all, scale) => {
      const table = new IdTable();
      const model = new Set<number>();
      for (const [adds, number] of all) {
        const id = number * scale;
        if (adds) {
          assert.equal(table.add(id), !model.has(id));
          model.add(id);
        } else assert.equal(table.delete(id), model.delete(id));
        assert.equal(table.size, model.size);
      }
      assert.deepEqual(
        [...table].sort((a, b) => a - b),
        [...model].sort((a, b) => a - b),
      );
      for (let number = 1; number <= 60; number++)
        assert.equal(table.has(number * scale), model.has(number * scale));
    }),
  );
});
