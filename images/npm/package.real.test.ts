// The package in an app of a stranger: nothing of this repository but the packed files.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { leavesOf } from '../../src/base/json-schema.ts';
import { schemaPart } from '../../src/model/settings/schema.ts';
import { buildPackage, packPackage } from './build.ts';

const MODULES = join(import.meta.dirname, '../../node_modules');
const README = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
const app = mkdtempSync(join(tmpdir(), 'ckt-npm-'));

before(() => {
  buildPackage();
  const own = join(app, 'node_modules/calico-kit');
  mkdirSync(own, { recursive: true });
  execFileSync('tar', ['-xzf', packPackage(), '-C', own, '--strip-components=1']);
  const { peerDependencies, dependencies } = JSON.parse(
    readFileSync(join(own, 'package.json'), 'utf8'),
  ) as Record<string, Record<string, string>>;
  // What npm would install beside it, with what these need themselves.
  for (const name of Object.keys({ ...peerDependencies, ...dependencies }))
    symlinkSync(join(MODULES, name), join(app, 'node_modules', name));
  mkdirSync(join(app, 'node_modules/@types'));
  symlinkSync(join(MODULES, '@types/node'), join(app, 'node_modules/@types/node'));
  writeFileSync(join(app, 'package.json'), '{ "name": "app", "type": "module", "private": true }');
});
after(() => rmSync(app, { recursive: true, force: true }));

const examples = [...README.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]!);

/** The examples of the README as one program; each begins with what it imports. */
function program(): string {
  assert.equal(examples.length, 5);
  const [first, several, patch] = examples as [string, string, string];
  // The first one ends its app; here the others follow.
  const begun = first.replace("new Calico(app, 'calico', settings);\napp.synth();\n", '');
  const imports = [
    "import { App, JsonPatch } from 'cdk8s';",
    "import { Calico, objectOf, settingsOf } from 'calico-kit';",
  ];
  const bodies = [begun, several, patch].join('\n').replace(/^import .*\n/gm, '');
  return [...imports, bodies, 'app.synth();'].join('\n');
}

const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web, namespace: shop }
spec: { podSelector: { matchLabels: { app: web } }, policyTypes: [Ingress] }
`;

test('the README’s test of policies runs, and fails where a policy says otherwise', () => {
  writeFileSync(join(app, 'policies.test.ts'), examples[4]!);
  const run = () =>
    execFileSync(process.execPath, ['policies.test.ts'], { cwd: app, stdio: 'pipe' });
  writeFileSync(join(app, 'policies.yaml'), POLICY);
  run();
  writeFileSync(join(app, 'policies.yaml'), POLICY.replaceAll('web', 'db'));
  assert.throws(run, /'deny' !== 'allow'|AssertionError/);
});

test('the README’s examples compile and run', () => {
  writeFileSync(join(app, 'main.ts'), program());
  const types = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024'];
  execFileSync(join(MODULES, '.bin/tsc'), [...types, '--skipLibCheck', 'main.ts'], {
    cwd: app,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  execFileSync(process.execPath, ['main.ts'], { cwd: app });
  const read = (name: string) =>
    parseAllDocuments(readFileSync(join(app, 'dist', `${name}.k8s.yaml`), 'utf8')).map(
      (document) => document.toJS() as Record<string, Record<string, never>>,
    );
  const nodeOf = (name: string) =>
    JSON.stringify(
      read(name).find(
        (o) =>
          String(o['kind']) === 'DaemonSet' && /calico-node/.test(JSON.stringify(o['metadata'])),
      ),
    );
  assert.match(nodeOf('calico'), /hostAliases/);
  assert.doesNotMatch(nodeOf('north'), /hostAliases/);
  const config = (name: string) =>
    JSON.stringify(read(name).find((o) => String(o['kind']) === 'ConfigMap'));
  assert.match(config('north'), /10\.1\.0\.0\/16/);
  assert.match(config('south'), /10\.2\.0\.0\/16/);
  assert.match(config('calico'), /10\.244\.0\.0\/16/);
});

test('the token layer makes charts for an app that has nothing to do with Calico', () => {
  const example = join(import.meta.dirname, '../../src/deploy/helm/example.ts');
  const text = readFileSync(example, 'utf8').replaceAll("'./index.ts'", "'calico-kit/helm'");
  const last = 'console.log([...chart.keys()].join(), manifests.name);\n';
  writeFileSync(join(app, 'router.ts'), text + last);
  const types = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024'];
  execFileSync(join(MODULES, '.bin/tsc'), [...types, '--skipLibCheck', 'router.ts'], {
    cwd: app,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const said = execFileSync(process.execPath, ['router.ts'], { cwd: app, encoding: 'utf8' });
  assert.match(said, /values\.schema\.json,templates\/configmap-router\.yaml/);
});

/** Compiles a program beside the package; what the compiler says where it refuses. */
function refusal(name: string, text: string): string | undefined {
  writeFileSync(join(app, name), text);
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024'];
  const argv = [...flags, '--skipLibCheck', '--allowImportingTsExtensions', name];
  const { status, stdout } = spawnSync(join(MODULES, '.bin/tsc'), argv, {
    cwd: app,
    encoding: 'utf8',
  });
  return status === 0 ? undefined : stdout;
}

test('misspelt settings and values of another kind do not compile', () => {
  const good = `import { defaults, settingsOf } from 'calico-kit';
settingsOf({ networking: { mtu: 9000, settings: { mesh: 'off' } } });
settingsOf({ conf: { node: { LOG_LEVEL: 'debug', FELIX_X: 1 } } });
`;
  assert.equal(refusal('right.ts', good), undefined);
  const bad = `${good}settingsOf({ networking: { mtuu: 9000 } });
settingsOf({ networking: { mtu: '9000' } });
settingsOf({ etcd: { tls: { mode: 'none' } } });
console.log(defaults().networking.mtuu);
`;
  const said = refusal('wrong.ts', bad) ?? '';
  assert.match(said, /wrong\.ts\(4,.*'mtuu' does not exist/);
  assert.match(said, /wrong\.ts\(5,.*Type 'string' is not assignable to type 'number/);
  assert.match(said, /wrong\.ts\(6,.*"generate" \| "secret"/);
  assert.match(said, /wrong\.ts\(7,.*Property 'mtuu' does not exist/);
});

test('the type of the settings tells what each means, its bounds and its default', () => {
  const folder = join(app, 'node_modules/calico-kit/lib/model/settings');
  const types = readFileSync(join(folder, 'values.d.ts'), 'utf8');
  for (const { path, part } of leavesOf(schemaPart)) {
    assert.ok(part.description && types.includes(part.description), path.join('.'));
    if (part.default !== undefined)
      assert.ok(types.includes(`@default ${JSON.stringify(part.default)} */`), path.join('.'));
  }
  assert.match(types, /576 to 65535\. @default 1500 \*\/\n +readonly mtu: number;/);
  // It is the type that follows from the schema.
  const same = `import type { Inferred, Values } from '${folder}/schema.d.ts';
type Fixed<T> = T extends readonly (infer Item)[]
  ? readonly Fixed<Item>[]
  : T extends object ? { readonly [K in keyof T]: Fixed<T[K]> | null } : T;
export const asInferred = (values: Values): Fixed<Inferred> => values;
`;
  assert.equal(refusal('same.ts', same), undefined);
});
