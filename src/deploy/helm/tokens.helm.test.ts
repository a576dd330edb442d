// A stranger's construct under the real Helm: the chart renders what cdk8s synthesizes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { toolPath } from '../../../test/cluster/tools.ts';
import { chart, manifests, type Values } from './example.ts';

const work = mkdtempSync(join(tmpdir(), 'ckt-tokens-'));
const folder = join(work, 'router');
let helm = '';

before(async () => {
  helm = await toolPath('helm');
  for (const [path, text] of chart) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
});
after(() => rmSync(work, { recursive: true, force: true }));

function call(argv: readonly string[], values: Values) {
  const file = join(work, 'values.json');
  writeFileSync(file, JSON.stringify(values));
  const env = { PATH: process.env['PATH'], HOME: work, KUBECONFIG: '/dev/null' };
  return spawnSync(helm, [...argv, '-f', file], { encoding: 'utf8', env });
}

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((s) => !/[\u007f-\u009f\ufffe\uffff]/.test(s));
const values: fc.Arbitrary<Values> = fc.record(
  {
    mtu: fc.integer({ min: 576, max: 65535 }),
    debug: fc.boolean(),
    peers: fc.array(
      fc.record(
        {
          ip: text,
          asn: fc.integer({ min: 1, max: 4294967295 }),
          port: fc.integer({ min: 1, max: 65535 }),
        },
        { requiredKeys: ['ip', 'asn'], noNullPrototype: true },
      ),
      { maxLength: 3 },
    ),
    tolerations: fc.array(
      fc.record({ key: text, operator: fc.constant('Exists') }, { noNullPrototype: true }),
      {
        maxLength: 2,
      },
    ),
  },
  { noNullPrototype: true },
);

test('helm template prints what cdk8s synthesizes: values, release, chart, versions, kinds', () => {
  const kubernetes = fc.constantFrom('1.30.2', '1.33.0', '1.36.3');
  const apis = fc.constantFrom([], ['monitoring.coreos.com/v1']);
  fc.assert(
    fc.property(values, kubernetes, apis, (some, version, apiVersions) => {
      const served = apiVersions.flatMap((api) => ['--api-versions', api]);
      const argv = [
        'template',
        'edge',
        folder,
        '--namespace',
        'network',
        '--kube-version',
        version,
      ];
      const { status, stdout, stderr } = call([...argv, ...served], some);
      assert.equal(status, 0, stderr);
      const rendered = parseAllDocuments(stdout, { version: '1.1' })
        .map((document) => document.toJS() as { kind: string })
        .filter(Boolean);
      const expected = JSON.parse(JSON.stringify(manifests(some, version, apiVersions))) as {
        kind: string;
      }[];
      const byKind = (objects: { kind: string }[]) =>
        objects.sort((a, b) => (a.kind < b.kind ? -1 : 1));
      assert.deepEqual(byKind(rendered), byKind(expected));
    }),
    { numRuns: Number(process.env['CALICO_KIT_RUNS'] ?? 60) },
  );
});

test('values of another shape are refused by the schema', () => {
  const wrong = { mtu: '1500', debug: false, peers: [], tolerations: [] } as unknown as Values;
  const { status, stderr } = call(['template', 'edge', folder], wrong);
  assert.notEqual(status, 0);
  assert.match(stderr, /'\/mtu': got string, want integer/);
});
