// Root folders of images: programs of this machine with the libraries they need, and nothing else.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** An empty root with the folders that every program expects; `/var/run` is `/run`. */
export function emptyRoot(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  for (const sub of [
    'etc',
    'proc',
    'sys',
    'dev',
    'run',
    'tmp',
    'root',
    'var/lib',
    'usr/bin',
    'usr/sbin',
    'usr/lib',
    'usr/lib64',
    'usr/local/bin',
  ]) {
    mkdirSync(join(folder, sub), { recursive: true });
  }
  for (const merged of ['bin', 'sbin', 'lib', 'lib64'])
    symlinkSync(`usr/${merged}`, join(folder, merged));
  symlinkSync('/run', join(folder, 'var/run'));
  chmodSync(join(folder, 'tmp'), 0o1777);
  writeFileSync(
    join(folder, 'etc/passwd'),
    'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n',
  );
  writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nnobody:x:65534:\n');
  writeFileSync(join(folder, 'etc/nsswitch.conf'), 'hosts: files dns\n');
}

/** Copies a file to a place in the root, 0755. */
export function install(folder: string, from: string, to: string): void {
  const target = join(folder, to);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
  chmodSync(target, 0o755);
}

/** Copies a folder as it is. */
export function installFolder(folder: string, from: string, to: string): void {
  cpSync(from, join(folder, to), {
    recursive: true,
    dereference: false,
    preserveTimestamps: false,
  });
}

/** Copies the shared libraries that a program or library names (as the dynamic linker finds them). */
export function installLibraries(folder: string, program: string): void {
  for (const library of librariesOf(program)) {
    const target = join(folder, library.startsWith('/lib') ? `/usr${library}` : library);
    if (existsSync(target)) continue;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(realpathSync(library), target);
    chmodSync(target, 0o755);
  }
}

function librariesOf(program: string): readonly string[] {
  try {
    const listing = execFileSync('ldd', [program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return [...listing.matchAll(/(\/\S+) \(0x/g)].map((m) => m[1]!);
  } catch {
    return []; // a static binary
  }
}

/** Copies a program from its own place, with its libraries; a link to another program stays a link. */
export function installProgram(folder: string, path: string): void {
  const real = realpathSync(path);
  install(folder, real, real);
  installLibraries(folder, real);
  if (real !== path) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    if (!existsSync(join(folder, path))) symlinkSync(real, join(folder, path));
  }
}
