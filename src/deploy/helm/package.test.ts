// The token layer by itself, on a stranger's construct: see tokens.helm.test.ts for the real Helm.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ApiObject, type App, Chart } from 'cdk8s';
import { chart, manifests } from './example.ts';
import * as layer from './index.ts';
import {
  chartOf,
  Expr,
  expressions,
  helmContext,
  isOn,
  or,
  plainContext,
  selectorLabels,
} from './index.ts';

class Text extends Chart {
  text(value: string): void {
    new ApiObject(this, 'text', { apiVersion: 'v1', kind: 'ConfigMap', data: { value } });
  }
}

const template = (name: string) => chart.get(`templates/${name}.yaml`) ?? '';

test('the example is a chart: metadata, values, schema, one template an object', () => {
  assert.deepEqual(
    [...chart.keys()],
    [
      'Chart.yaml',
      'values.yaml',
      'values.schema.json',
      'templates/configmap-router.yaml',
      'templates/pod-router-pod.yaml',
      'templates/podmonitor-monitor.yaml',
    ],
  );
  assert.match(chart.get('Chart.yaml') ?? '', /^apiVersion: v2\n(.*\n)*version: 1\.2\.3\+4\n/);
  assert.match(chart.get('values.yaml') ?? '', /# -- MTU of the network\nmtu: 1500\n/);
});

test('a template names its construct, and every leaf is JSON', () => {
  const config = template('configmap-router');
  assert.match(config, /^# Construct: router\/config\napiVersion: "v1"\n/);
  assert.match(
    config,
    /tunnelMtu: \{\{ \(toString \(sub \(int64 \$\.Values\.mtu\) 50\)\) \| toJson/,
  );
  for (const [, action] of config.matchAll(/: \{\{ (.*?) \}\}/g))
    assert.match(action!, /\| toJson$/);
});

test('loops know the fields of their items, integers among them', () => {
  const pod = template('pod-router-pod');
  assert.match(pod, /\{\{- range \$_, \$item := \$\.Values\.peers \}\}/);
  assert.match(pod, /"--peer=" \$item\.ip "," \(int64 \$item\.asn\)/);
  assert.match(pod, /\{\{- if \(not \(kindIs "invalid" \$item\.port\)\) \}\}/);
});

test('whole objects exist only where the cluster has their kind', () => {
  assert.match(
    template('podmonitor-monitor'),
    /^\{\{- if \(\$\.Capabilities\.APIVersions\.Has "monitoring\.coreos\.com\/v1"\) \}\}\n# Construct/,
  );
  const values = { mtu: 1500, debug: true, peers: [], tolerations: [] };
  assert.equal(manifests(values, '1.36.0', []).length, 2);
  assert.equal(manifests(values, '1.36.0', ['monitoring.coreos.com/v1']).length, 3);
});

test('nested loops have variables of their own, and the layer stays usable after one throws', () => {
  const schema = {
    type: 'object',
    properties: {
      racks: {
        type: 'array',
        items: {
          type: 'object',
          properties: { hosts: { type: 'array', items: { type: 'string' } } },
        },
      },
    },
  };
  interface Racks {
    racks: { hosts: string[] }[];
  }
  const { racks } = expressions<Racks>(schema);
  const nested = layer.each(racks, ({ hosts }) => ({
    hosts: layer.list(layer.each(hosts, (host) => host)),
  }));
  const inner = JSON.stringify(nested);
  assert.match(inner, /\$item1/);
  assert.throws(() =>
    layer.each(racks, () => {
      throw new Error('broken');
    }),
  );
  const again = JSON.stringify(layer.each(racks, (rack) => rack));
  assert.doesNotMatch(again, /\$item1/);
});

test('versions of Kubernetes are compared as numbers', () => {
  const around = {
    release: { name: 'r', namespace: 'n' },
    chart: { name: 'c', version: '1.0.0', appVersion: '1' },
    apiVersions: [],
  };
  const at = (kubernetes: string) => plainContext({ ...around, kubernetes });
  assert.equal(at('1.9.0').isAtLeast('1.30'), false);
  assert.equal(at('v1.33.1-gke.100').isAtLeast('1.33'), true);
  assert.equal(at('1.33.0').isAtLeast('1.33.1'), false);
  assert.deepEqual(selectorLabels(at('1.30.0'), 'web')['app.kubernetes.io/instance'], 'r');
});

test('conditions are decided where one side is known', () => {
  const unknown = expressions<{ a: boolean }>({
    type: 'object',
    properties: { a: { type: 'boolean' } },
  }).a;
  assert.throws(() => ({ ...(unknown as object) }), /is no map yet/);
  assert.equal(or(true, unknown), true);
  assert.equal(or(false, unknown), unknown);
  assert.ok(or(unknown, unknown) instanceof Expr);
  assert.equal(isOn('Yes'), true);
});

test('an object that is a text inside another term is refused when the chart is made', () => {
  assert.throws(
    () =>
      chartOf<{ a: boolean }>({
        meta: { name: 'x', version: '1.0.0' },
        schema: { type: 'object', properties: { a: { type: 'boolean' } } },
        build: (app: App, { a }) => {
          const own = new Text(app, 'x');
          own.text(`is ${layer.when(a, 'on', 'off')}`);
          return [own];
        },
      }),
    /use choose\(\)/,
  );
  assert.match(String(helmContext.release.name), /Release\.Name/);
});

test('the README names every function of the layer', () => {
  const text = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
  const functions = Object.entries(layer).filter(([, value]) => typeof value === 'function');
  const told = functions.map(([name]) => name).filter((name) => text.includes(name));
  const quiet = [
    'Expr',
    'eachNamed',
    'eachOf',
    'expressions',
    'go',
    'printTemplate',
    'printValues',
  ];
  assert.deepEqual(
    functions.map(([name]) => name).filter((name) => !told.includes(name) && !quiet.includes(name)),
    [],
  );
});
