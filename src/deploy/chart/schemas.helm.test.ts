// The rendered chart under kubeconform: every example holds to the API of every Kubernetes version it
// is for, without a field too many.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { schemaOptions } from '../../../test/cluster/schemas.ts';
import { toolPath } from '../../../test/cluster/tools.ts';
import type { Json } from '../../base/json.ts';
import { isObject } from '../../model/resource.ts';
import { examples } from './examples.ts';
import { type Helm, openHelm } from './helm.cases.ts';

/** The oldest that Chart.yaml allows, and all that are maintained. */
const VERSIONS = ['1.25.0', ...[30, 31, 32, 33, 34, 35, 36].map((minor) => `1.${minor}.0`)];

let helm: Helm;
let kubeconform: string;
before(
  async () => {
    helm = await openHelm();
    kubeconform = await toolPath('kubeconform');
    await schemaOptions('1.36.0');
  },
  { timeout: 1_500_000 },
);
after(() => helm?.close());

const APP_ARMOR: Json = { pod: { calico_node: { app_armor: 'Unconfined' } } };

const check = async (kubernetes: string, objects: string) => {
  const argv = [...(await schemaOptions(kubernetes)), '-'];
  const { status, stdout, stderr } = spawnSync(kubeconform, argv, {
    encoding: 'utf8',
    input: objects,
  });
  return { status, said: stdout + stderr };
};

/** All switches of the examples at once; what overlaps is of the last. */
const { 'external-etcd': _other, ...compatible } = examples;
const together = Object.values(compatible)
  .map((text) => parse(text) as Json)
  .reduce(merge, APP_ARMOR);

function merge(base: Json, over: Json): Json {
  if (!isObject(base) || !isObject(over)) return over;
  const keys = new Set([...Object.keys(base), ...Object.keys(over)]);
  return Object.fromEntries(
    [...keys].map((key) => [key, key in over ? merge(base[key] ?? null, over[key]!) : base[key]!]),
  );
}

for (const kubernetes of VERSIONS) {
  test(`Kubernetes ${kubernetes}: the chart with everything switched on is valid`, async () => {
    const rendered = helm.run(['template', 'calico'], together, { kubernetes });
    const { status, said } = await check(kubernetes, rendered);
    assert.equal(status, 0, said);
    assert.match(said, /Valid: [1-9]\d+, Invalid: 0, Errors: 0, Skipped: 0/);
    // A field is there only where the version knows it.
    assert.equal(rendered.includes('appArmorProfile'), kubernetes >= '1.30');
    assert.equal(rendered.includes('unhealthyPodEvictionPolicy'), kubernetes >= '1.31');
  });
}

test('every example is valid by itself', async () => {
  const sets = [{}, ...Object.values(examples).map((text) => parse(text) as Json)];
  const rendered = sets.map((values) => helm.run(['template', 'calico'], values));
  const { status, said } = await check('1.36.0', rendered.join('\n---\n'));
  assert.equal(status, 0, said);
});

test('a field too many is found, in objects of Kubernetes and of Prometheus Operator', async () => {
  const values = parse(examples['monitoring'] ?? '') as Json;
  const good = helm.run(['template', 'calico'], values);
  for (const [field, wrong] of [
    ['serviceAccountName:', 'serviceAccountNam:'],
    ['podMetricsEndpoints:', 'podMetricsEndpoint:'],
  ] as const) {
    const { status, said } = await check('1.36.0', good.replace(field, wrong));
    assert.equal(status, 1, said);
    assert.match(said, /not allowed/);
  }
});
