// `make release`: what is published, in build/release: the chart as an archive and as an OCI layout,
// the npm package, the digests of all, and a statement of where they come from. With RELEASE_KEY and
// RELEASE_KEYRING (a file of GnuPG's secret keys) Helm signs the chart; then there is a .prov file too.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { toolPath } from '../../test/cluster/tools.ts';
import { buildPackage, packPackage } from '../npm/build.ts';
import { writeLayout } from './oci-layout.ts';
import { type Subject, statementOf } from './statement.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface ReleaseOptions {
  readonly out: string;
  /** Name of the key, and the file of secret keys, with which Helm signs; undefined: no signature. */
  readonly sign?: { readonly key: string; readonly keyring: string } | undefined;
  /** Where images.ts left its archives; those that are there are told of. */
  readonly images?: string;
}

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();

/** Makes the folder anew. Answers the files in it, by name. */
export async function release({ out, sign, images }: ReleaseOptions): Promise<readonly string[]> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const revision = git('rev-parse', 'HEAD');
  const archive = await packageChart(out, sign);
  const prov = `${archive}.prov`;
  writeLayout(join(out, 'oci'), {
    meta: parse(readFileSync(join(ROOT, 'charts/calico/Chart.yaml'), 'utf8')),
    archive: readFileSync(archive),
    provenance: existsSync(prov) ? readFileSync(prov) : undefined,
    revision,
  });
  buildPackage();
  const packed = packPackage();
  copyFileSync(packed, join(out, basename(packed)));
  const files = readdirSync(out).filter((name) => name !== 'oci');
  const subjects = [
    ...files.map((name) => subjectOf(out, name)),
    ...imageArchives(images).map((name) => subjectOf(images!, name)),
  ];
  const lock = subjectOf(ROOT, 'package-lock.json');
  const statement = statementOf(subjects, { revision, materials: [lock] });
  writeFileSync(join(out, 'provenance.intoto.json'), `${JSON.stringify(statement, null, 2)}\n`);
  const sums = subjects.map(({ name, digest }) => `${digest.sha256}  ${name}\n`).join('');
  writeFileSync(join(out, 'SHA256SUMS'), sums);
  return readdirSync(out);
}

const imageArchives = (folder: string | undefined): readonly string[] =>
  folder && existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.tar')) : [];

function subjectOf(folder: string, name: string): Subject {
  const sha256 = createHash('sha256')
    .update(readFileSync(join(folder, name)))
    .digest('hex');
  return { name, digest: { sha256 } };
}

async function packageChart(out: string, sign: ReleaseOptions['sign']): Promise<string> {
  const chart = join(ROOT, 'charts/calico');
  const signing = sign ? ['--sign', '--key', sign.key, '--keyring', sign.keyring] : [];
  const said = execFileSync(await toolPath('helm'), ['package', chart, '-d', out, ...signing], {
    encoding: 'utf8',
  });
  const path = /saved it to: (.*\.tgz)/.exec(said)?.[1];
  if (!path) throw new Error(`helm package: ${said}`);
  return path;
}

if (import.meta.main) {
  const { RELEASE_KEY: key, RELEASE_KEYRING: keyring } = process.env;
  const out = join(ROOT, 'build/release');
  const sign = key && keyring ? { key, keyring } : undefined;
  for (const name of await release({ out, sign, images: join(ROOT, 'build/images') }))
    console.log(join(out, name));
  if (!sign)
    console.error('note: not signed; set RELEASE_KEY and RELEASE_KEYRING for a .prov file');
}
