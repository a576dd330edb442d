// The CNI shim's binary, built from images/calico-node/cni-shim by rustc: a program without any library
// is done in a sixth of a millisecond, a static one with the C library in two thirds, a Go one in a
// whole one, and every pod waits for it twice.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from '../test/cluster/tools.ts';

const FOLDER = join(import.meta.dirname, 'calico-node/cni-shim');
const FLAGS = [
  '--edition=2021',
  '--crate-name=cni_shim',
  '-Copt-level=s',
  '-Clto=fat',
  '-Ccodegen-units=1',
  '-Ctarget-feature=+crt-static',
  '-Crelocation-model=static',
  '-Cpanic=abort',
  '-Cstrip=symbols',
  '-Clink-args=-nostartfiles -nostdlib -static',
  `--remap-path-prefix=${import.meta.dirname}=.`,
];

/** Path of the static binary; built when its source or the compiler is another. */
export async function shimPath(): Promise<string> {
  const compiler = execFileSync('rustc', ['--version']);
  const hash = createHash('sha256').update(compiler);
  for (const name of readdirSync(FOLDER).sort()) hash.update(readFileSync(join(FOLDER, name)));
  const stamp = hash.update(FLAGS.join(' ')).digest('hex').slice(0, 12);
  const out = join(CACHE, `bin/cni-shim-${stamp}`);
  if (existsSync(out)) return out;
  mkdirSync(join(CACHE, 'bin'), { recursive: true });
  const unfinished = `${out}.${process.pid}`;
  execFileSync('rustc', [...FLAGS, '-o', unfinished, join(FOLDER, 'main.rs')]);
  renameSync(unfinished, out);
  return out;
}
