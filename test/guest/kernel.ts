// Debian's cloud kernel and its modules, unpacked from the package: it has what test machines' own
// kernels lack (IP-in-IP above all).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from '../cluster/tools.ts';

export interface GuestKernel {
  readonly image: string;
  /** `/lib/modules/<version>` unpacked, with the modules' dependencies worked out. */
  readonly modules: string;
  readonly version: string;
}

const META = 'linux-image-cloud-amd64';

const run = (argv: readonly [string, ...string[]], cwd?: string): string =>
  execFileSync(argv[0], argv.slice(1), { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });

/** Fetches the package once. */
export function guestKernel(): GuestKernel {
  const folder = join(CACHE, 'guest-kernel');
  if (!existsSync(folder)) fetchInto(folder);
  const [version] = readdirSync(join(folder, 'lib/modules'));
  if (!version) throw new Error(`${folder} holds no kernel: remove it, and it is fetched again`);
  return {
    image: join(folder, 'boot', `vmlinuz-${version}`),
    modules: join(folder, 'lib/modules', version),
    version,
  };
}

function fetchInto(folder: string): void {
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  if (!isKnown()) run(['apt-get', '-qq', 'update']); // the lists may never have been fetched
  const name = /Depends: (linux-image-\S+)/.exec(run(['apt-cache', 'depends', META]))?.[1];
  if (!name) throw new Error(`apt knows no ${META}`);
  run(['apt-get', 'download', '-q', name], part);
  const [file] = readdirSync(part).filter((entry) => entry.endsWith('.deb'));
  if (!file) throw new Error(`apt-get download ${name} left no package`);
  run(['dpkg-deb', '-x', file, '.'], part);
  rmSync(join(part, file));
  const [version] = readdirSync(join(part, 'lib/modules'));
  run(['depmod', '-b', part, version!]);
  renameSync(part, folder);
}

function isKnown(): boolean {
  try {
    return run(['apt-cache', 'show', META]).length > 0;
  } catch {
    return false;
  }
}
