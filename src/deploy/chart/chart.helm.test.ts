// The chart under the real Helm: it says what cdk8s says, and refuses what cdk8s refuses.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import type { Json } from '../../base/json.ts';
import { rules } from '../../model/settings/rules.ts';
import { badSettings } from '../../model/settings/settings.cases.ts';
import { settingsFrom } from '../../model/settings/settings.ts';
import { allManifests, type Manifest } from '../manifests.ts';
import { risksOf } from '../risks.ts';
import { goodValues, nearText, RUNS } from '../values.cases.ts';
import { examples } from './examples.ts';
import { type Helm, openHelm } from './helm.cases.ts';

let helm: Helm;
before(async () => {
  helm = await openHelm();
});
after(() => helm?.close());

function settingsOf(user: Json) {
  const result = settingsFrom(user);
  assert.ok(result.ok, result.ok ? '' : result.error.join('\n'));
  return result.value;
}

const keyOf = ({ kind, metadata }: Manifest) => `${kind}/${metadata.name}/${metadata.namespace}`;
const byKey = (objects: readonly Manifest[]) =>
  [...objects].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));

test('helm lint --strict has nothing to say', () => {
  assert.match(helm.run(['lint', '--strict']), /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

test('two renders give equal bytes', () => {
  assert.equal(helm.run(['template', 'calico']), helm.run(['template', 'calico']));
});

test('helm template prints what cdk8s synthesizes, on random values', () => {
  fc.assert(
    fc.property(goodValues, (user) => {
      const values = JSON.parse(JSON.stringify(user)) as Json;
      const settings = settingsOf(values);
      const expected = allManifests(settings);
      assert.deepStrictEqual(byKey(helm.template(values)), byKey(expected));
    }),
    { numRuns: RUNS },
  );
});

for (const [name, text] of Object.entries(examples)) {
  test(`ci/${name}-values.yaml: lint, and the same on both roads`, () => {
    const values = parse(text) as Json;
    helm.run(['lint', '--strict'], values);
    const settings = settingsOf(values);
    const expected = allManifests(settings);
    assert.deepStrictEqual(byKey(helm.template(values)), byKey(expected));
  });
}

for (const { values, faults, helm: words } of badSettings) {
  test(`Helm refuses ${JSON.stringify(values)}`, () => {
    const refusal = helm.refusal(values) ?? 'accepted';
    if (words) assert.match(refusal, words);
    else for (const fault of faults) assert.ok(refusal.includes(fault), refusal);
  });
}

// Any text at any setting that a rule looks at: one verdict, and the same words.
test('both checks agree on random texts', () => {
  const paths = rules.flatMap((rule) => (rule.kind === 'pattern' ? [rule.path] : []));
  fc.assert(
    fc.property(fc.constantFrom(...paths), nearText, (path, text) => {
      const values = path.reduceRight<Json>((inner, key) => ({ [key]: inner }), text);
      const ours = settingsFrom(values);
      const refusal = helm.refusal(values);
      if (ours.ok) assert.equal(refusal, undefined);
      else for (const fault of ours.error) assert.ok(refusal?.includes(fault), refusal);
    }),
    { numRuns: RUNS },
  );
});

const put = (object: Json, [name, ...rest]: readonly string[], value: Json): Json => {
  if (name === undefined) return value;
  const map = (object ?? {}) as Record<string, Json>;
  return { ...map, [name]: put(map[name] ?? null, rest, value) };
};

test('and on random texts in objects of lists', () => {
  const lists = rules.flatMap((rule) => (rule.kind === 'each' ? [rule] : []));
  assert.ok(lists.length >= 6);
  fc.assert(
    fc.property(fc.constantFrom(...lists), nearText, ({ path, field }, text) => {
      const item: Json = path.includes('pools')
        ? { name: 'a', cidr: '172.30.0.0/16' }
        : { metadata: { name: 'a' }, spec: {} };
      const values = put({}, path, [put(item, field, text)]);
      const ours = settingsFrom(values);
      const refusal = helm.refusal(values);
      if (ours.ok) assert.equal(refusal, undefined);
      else for (const fault of ours.error) assert.ok(refusal?.includes(fault), refusal);
    }),
    { numRuns: RUNS },
  );
});

test('the notes name the risks of the values', () => {
  const values: Json = { networking: { settings: { mesh: 'off', ippool: { disabled: 'yes' } } } };
  const notes = helm.notes(values);
  for (const { present, text } of risksOf(settingsOf(values))) {
    assert.equal(notes.includes(text), present, text);
  }
});

test('the chart works as a subchart: global passes', () => {
  assert.equal(helm.refusal({ global: { imageRegistry: 'registry.example' } }), undefined);
});
