// `make package`: the constructs as an npm package, compiled, with types, in build/npm.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemaPart } from '../../src/model/settings/schema.ts';
import { valuesTypes } from './values-types.ts';

const ROOT = join(import.meta.dirname, '../..');
export const PACKAGE = join(ROOT, 'build/npm');

interface Manifest {
  readonly [field: string]: unknown;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Makes the package's folder anew. */
export function buildPackage(): void {
  rmSync(PACKAGE, { recursive: true, force: true });
  mkdirSync(PACKAGE, { recursive: true });
  execFileSync(join(ROOT, 'node_modules/.bin/tsc'), [
    '-p',
    join(import.meta.dirname, 'tsconfig.json'),
  ]);
  documentValues(join(PACKAGE, 'lib/model/settings'));
  const own = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  const { name, version, description, license, type, dependencies } = own;
  const entry = './lib/deploy/index';
  const helm = './lib/deploy/helm/index';
  const published = {
    ...{ name, version, description, license, type },
    keywords: ['kubernetes', 'cdk8s', 'helm', 'calico', 'cni', 'bgp'],
    engines: { node: '>=22' },
    exports: {
      '.': { types: `${entry}.d.ts`, default: `${entry}.js` },
      // The token layer alone, for charts that have nothing to do with Calico.
      './helm': { types: `${helm}.d.ts`, default: `${helm}.js` },
    },
    types: `${entry}.d.ts`,
    files: ['lib'],
    // An app and its constructs share one cdk8s.
    peerDependencies: only(dependencies, ['cdk8s', 'constructs'], '^'),
    dependencies: only(dependencies, ['ajv', 'typebox', 'yaml'], ''),
  };
  writeFileSync(join(PACKAGE, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  copyFileSync(join(import.meta.dirname, 'README.md'), join(PACKAGE, 'README.md'));
  copyFileSync(join(ROOT, 'LICENSE'), join(PACKAGE, 'LICENSE'));
}

const BARE = 'export type Values = Type.Static<typeof schema>;';

// Editors show comments of the type's fields; a type that is inferred has none.
function documentValues(folder: string): void {
  const file = join(folder, 'schema.d.ts');
  const text = readFileSync(file, 'utf8');
  if (!text.includes(BARE)) throw new Error(`${file} has no line "${BARE}"`);
  const documented = `export type Inferred = Type.Static<typeof schema>;
export type { Values } from './values.js';`;
  writeFileSync(file, text.replace(BARE, documented));
  writeFileSync(join(folder, 'values.d.ts'), valuesTypes(schemaPart));
}

const only = (
  dependencies: Manifest['dependencies'],
  names: readonly string[],
  range: string,
): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [name, `${range}${dependencies[name]}`]));

/** `npm pack` in the package's folder. Answers the archive's path. */
export function packPackage(): string {
  const argv = ['pack', '--silent', '--pack-destination', join(ROOT, 'build')];
  const file = execFileSync('npm', argv, { cwd: PACKAGE, encoding: 'utf8' }).trim();
  return join(ROOT, 'build', file);
}

if (import.meta.main) {
  buildPackage();
  console.log(packPackage());
}
