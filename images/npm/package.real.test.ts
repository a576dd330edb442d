// The package in an app of a stranger: nothing of this repository but the packed files.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
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
  const begun = first.replace("new Calico(app, 'calico', settings.value);\napp.synth();\n", '');
  const imports = [
    "import { App, JsonPatch } from 'cdk8s';",
    "import { Calico, objectOf, settingsFrom } from 'calico-kit';",
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

test('a misspelt setting does not compile', () => {
  writeFileSync(
    join(app, 'wrong.ts'),
    "import { defaults } from 'calico-kit';\nconsole.log(defaults().networking.mtuu);\n",
  );
  const types = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024'];
  assert.throws(
    () =>
      execFileSync(join(MODULES, '.bin/tsc'), [...types, '--skipLibCheck', 'wrong.ts'], {
        cwd: app,
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    (error: { stdout: Buffer }) => /Property 'mtuu' does not exist/.test(String(error.stdout)),
  );
});
