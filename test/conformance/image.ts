// The suite's own image, agnhost: a Go program that plays servers and clients, and the tools that
// specs call by a shell in it. Built from the suite's module and from the machine's packages.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeImageArchive } from '../../images/oci-archive.ts';
import { emptyRoot, install, installProgram } from '../../images/rootfs.ts';
import { command } from '../cluster/command.ts';
import { locked } from '../cluster/lock.ts';
import { CACHE, toolPath } from '../cluster/tools.ts';

/** As test/utils/image/manifest.go of the suite names them. */
const NAMES = [
  'registry.k8s.io/e2e-test-images/agnhost:2.63.0',
  'registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0', // asked for dig and getent only
];

/** What the tools below come from. */
export const SUITE_PACKAGES: readonly string[] = [
  'busybox-static',
  'curl',
  'iproute2',
  'netcat-openbsd',
  'bind9-dnsutils',
  'wget',
];

// Real programs where busybox has an applet of the name: its nc knows neither -u nor -v, and its
// `wget -T` crashes in Debian 12's static build.
const PROGRAMS = ['bash', 'curl', 'nc.openbsd', 'dig', 'nslookup', 'getent', 'ss', 'ip', 'wget'];
// The static busybox runs its own applets from its shell, whatever PATH says: sh is bash.
const NOT_APPLETS = [...PROGRAMS, 'busybox', 'sh', 'nc', 'init'];

/** Path of the archive; built anew when agnhost or this file changed. */
export async function buildSuiteImage(): Promise<string> {
  const folder = join(CACHE, 'images');
  mkdirSync(folder, { recursive: true });
  const agnhost = await toolPath('agnhost');
  const out = join(folder, 'agnhost.tar');
  const stamp = join(folder, '.agnhost.inputs');
  const { size, mtimeMs } = statSync(agnhost);
  const inputs = createHash('sha256')
    .update(`${size} ${mtimeMs}\n`)
    .update(readFileSync(import.meta.filename))
    .digest('hex');
  await locked(join(folder, '.lock'), async () => {
    if (existsSync(out) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) return;
    const rootfs = await fillRoot(agnhost);
    const config = {
      Entrypoint: ['/agnhost'],
      Cmd: ['pause'],
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    };
    writeImageArchive({ out, rootfs, config, names: NAMES });
    writeFileSync(stamp, inputs);
  });
  return out;
}

async function fillRoot(agnhost: string): Promise<string> {
  const rootfs = join(CACHE, 'rootfs/agnhost');
  emptyRoot(rootfs);
  install(rootfs, agnhost, '/agnhost');
  symlinkSync('agnhost', join(rootfs, 'agnhost-2'));
  mkdirSync(join(rootfs, 'uploads')); // where agnhost netexec keeps files
  install(rootfs, '/bin/busybox', '/usr/bin/busybox');
  const applets = (await command(['/bin/busybox', '--list'])).trim().split('\n');
  for (const applet of applets.filter((name) => !NOT_APPLETS.includes(name)))
    symlinkSync('busybox', join(rootfs, 'usr/bin', applet));
  for (const program of PROGRAMS) installProgram(rootfs, `/usr/bin/${program}`);
  writeFileSync(join(rootfs, 'etc/wgetrc'), 'tries = 1\n'); // as busybox: a spec repeats by itself
  symlinkSync('bash', join(rootfs, 'usr/bin/sh'));
  symlinkSync('nc.openbsd', join(rootfs, 'usr/bin/nc'));
  return rootfs;
}
