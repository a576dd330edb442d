// Selectors of policies as Calico composes them: names of groups and sets are made of this text.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printSelector } from '../../model/selector/print.ts';
import { entitySelectors, policySelector } from './entity-selector.ts';

const NS = 'projectcalico.org/namespace';
const SA = 'projectcalico.org/serviceaccount';

test('whom a policy selects', () => {
  const cases: [Parameters<typeof policySelector>[0], string | undefined, string][] = [
    [{}, undefined, 'all()'],
    [{}, 'ns', `${NS} == "ns"`],
    [{ selector: "a == 'b'" }, 'ns', `(a == "b" && ${NS} == "ns")`],
    [
      { selector: "a == 'b'", serviceAccountSelector: "role == 'x'" },
      'ns',
      `((a == "b" && ${NS} == "ns") && pcsa.role == "x")`,
    ],
    [
      { serviceAccountSelector: "has(x) || y == 'z'" },
      'ns',
      `(${NS} == "ns" && (has(pcsa.x) || pcsa.y == "z"))`,
    ],
    [{ selector: 'all()' }, undefined, 'all()'],
    [
      { selector: 'all()', namespaceSelector: "t == 'u'" },
      undefined,
      `(has(${NS}) && pcns.t == "u")`,
    ],
    [{ selector: "a == 'b'", namespaceSelector: 'all()' }, undefined, `(a == "b" && has(${NS}))`],
    [
      { selector: "a == 'b'", serviceAccountSelector: 'all()' },
      undefined,
      `(a == "b" && has(${SA}))`,
    ],
    [
      {
        selector: '!all()',
        namespaceSelector: "t == 'u'",
        serviceAccountSelector: "role in {'y', 'x'}",
      },
      undefined,
      `((!has(${NS}) && pcns.t == "u") && pcsa.role in {"x", "y"})`,
    ],
  ];
  for (const [spec, namespace, text] of cases) {
    const selector = policySelector(spec, namespace);
    assert.equal(selector.ok && printSelector(selector.value), text);
  }
});

test('whom a rule means', () => {
  type Case = [
    Parameters<typeof entitySelectors>[0],
    string | undefined,
    (string | undefined)?,
    string?,
  ];
  const cases: Case[] = [
    [{}, 'ns'],
    [{ selector: 'all()' }, 'ns', `(${NS} == "ns" && all())`],
    [{ notSelector: "a == 'b'" }, undefined, undefined, 'a == "b"'],
    [{ notSelector: "a == 'b'" }, 'ns', `(${NS} == "ns" && !a == "b")`],
    [{ namespaceSelector: 'all()' }, 'ns', `has(${NS})`],
    [{ namespaceSelector: 'global()', selector: 'has(x)' }, 'ns', `(!has(${NS}) && has(x))`],
    [{ namespaceSelector: '!global()' }, 'ns', `has(${NS})`],
    [
      { serviceAccounts: { names: ['b', 'a'], selector: "r == 's'" }, selector: "l == 'm'" },
      undefined,
      `((pcsa.r == "s" && ${SA} in {"a", "b"}) && l == "m")`,
    ],
    [{ serviceAccounts: { names: ['a'] } }, 'ns', `(${NS} == "ns" && ${SA} in {"a"})`],
  ];
  for (const [entity, namespace, positive, negative] of cases) {
    const selectors = entitySelectors(entity, namespace);
    assert.ok(selectors.ok);
    const text = (one: typeof selectors.value.positive) => one && printSelector(one);
    assert.deepEqual(
      [text(selectors.value.positive), text(selectors.value.negative)],
      [positive, negative],
    );
  }
});
