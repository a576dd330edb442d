import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matches } from './match.ts';
import { parseSelector } from './parse.ts';
import { printSelector } from './print.ts';
import type { Selector } from './selector.ts';

function parsed(text: string): Selector {
  const result = parseSelector(text);
  assert.ok(result.ok, text);
  return result.value;
}

test('canonical text', () => {
  const cases: [string, string][] = [
    ['', 'all()'],
    [' \t', 'all()'],
    ["a=='b'", 'a == "b"'],
    [`a == 'say "x"'`, `a == 'say "x"'`],
    ['a != "b"', 'a != "b"'],
    ['a contains"b"', 'a contains "b"'],
    ['a startswith "b"', 'a starts with "b"'],
    ['a ends\twith "b"', 'a ends with "b"'],
    ['a in {"c","b",\'b\',}', 'a in {"b", "c"}'],
    ['a in {}', 'a in {}'],
    ['a notin{"b"}', 'a not in {"b"}'],
    ['!!!has( a )', '!has(a)'],
    ['! ! has(a)', 'has(a)'],
    ['all( ) || global( )', '(all() || global())'],
    ["a=='1'&&b=='2'||!c=='3'", '((a == "1" && b == "2") || !c == "3")'],
    ['in in {"in"}', 'in in {"in"}'],
    ['has == "x"', 'has == "x"'],
    ['projectcalico.org/name-x_1 == ""', 'projectcalico.org/name-x_1 == ""'],
  ];
  for (const [text, canonical] of cases) assert.equal(printSelector(parsed(text)), canonical, text);
});

test('errors point at the column', () => {
  const cases: [string, number, RegExp][] = [
    ['a == "b', 6, /unterminated string/],
    ['a = "b"', 3, /expected ==/],
    ['has(a) & b', 8, /expected &&/],
    ['has(a) | b', 8, /expected \|\|/],
    ['a like "b"', 3, /operator after the label/],
    ['a inx {"b"}', 3, /operator after the label/],
    ['a', 2, /operator after the label/],
    ['(has(a)', 8, /no closing '\)'/],
    ['has(a', 1, /no closing '\)' after has\(/],
    ['has()', 1, /no label name/],
    ['all(x)', 1, /no closing '\)' after all\(/],
    ['has(a) has(b)', 8, /unexpected content at end/],
    ['a == b', 6, /quoted string/],
    ['a in "b"', 6, /expected a set/],
    ['a in {"b" "c"}', 11, /expected , or }/],
    ['a == "b" && ', 13, /expected a label/],
    ['a == "b"\n', 9, /unexpected characters/],
    [`${'x'.repeat(513)} == "b"`, 1, /too long/],
    [`${'('.repeat(101)}has(a)${')'.repeat(101)}`, 101, /nested/],
  ];
  for (const [text, column, message] of cases) {
    const result = parseSelector(text);
    assert.ok(!result.ok, text);
    assert.equal(result.error.column, column, text);
    assert.match(result.error.message, message, text);
  }
});

test('meaning, with the label there, different and absent', () => {
  const cases: [string, boolean, boolean, boolean][] = [
    ['a == "bc"', true, false, false],
    ['a != "bc"', false, true, true],
    ['a contains "b"', true, false, false],
    ['a starts with "b"', true, false, false],
    ['a ends with "c"', true, false, false],
    ['a in {"bc"}', true, false, false],
    ['a not in {"bc"}', false, true, true],
    ['has(a)', true, true, false],
    ['!has(a)', false, false, true],
    ['all()', true, true, true],
    ['global()', true, true, true],
    ['a == "bc" || a == "x"', true, true, false],
    ['has(a) && a != "x"', true, false, false],
  ];
  for (const [text, there, different, absent] of cases) {
    const of = (value?: string) =>
      matches(parsed(text), (name) => (name === 'a' ? value : undefined));
    assert.deepEqual([of('bc'), of('x'), of()], [there, different, absent], text);
  }
});

const PLAIN = { noNullPrototype: true };
const label = fc.stringMatching(/^[A-Za-z0-9_./-]{1,8}$/);
const value = fc.oneof(fc.stringMatching(/^[^"]{0,6}$/), fc.stringMatching(/^[^']{0,6}$/));
const leaf: fc.Arbitrary<Selector> = fc.oneof(
  fc.constantFrom<Selector>({ kind: 'all' }, { kind: 'global' }),
  label.map((name): Selector => ({ kind: 'has', label: name })),
  fc.record(
    {
      kind: fc.constantFrom('equals', 'notEquals', 'contains', 'startsWith', 'endsWith'),
      label,
      value,
    },
    PLAIN,
  ),
  fc.record(
    {
      kind: fc.constantFrom('in', 'notIn'),
      label,
      values: fc.uniqueArray(value, { maxLength: 3 }).map((all) => all.sort()),
    },
    PLAIN,
  ),
);
const { selector: anySelector } = fc.letrec<{ selector: Selector }>((tie) => ({
  selector: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.record(
      {
        kind: fc.constantFrom('and', 'or'),
        terms: fc.array(tie('selector'), { minLength: 2, maxLength: 3 }),
      },
      PLAIN,
    ),
    tie('selector').map((term): Selector => (term.kind === 'not' ? term : { kind: 'not', term })),
  ),
}));

test('parse(print(x)) = x', () => {
  fc.assert(
    fc.property(anySelector, (selector) => {
      assert.deepEqual(parsed(printSelector(selector)), selector);
    }),
  );
});

test('any text parses or is refused inside itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...`a ("'!=&|{},)has(in`) }), (text) => {
      const result = parseSelector(text);
      if (!result.ok) assert.ok(result.error.column >= 1 && result.error.column <= text.length + 1);
    }),
  );
});
