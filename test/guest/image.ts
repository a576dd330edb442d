// What the guest runs from: one archive, unpacked into its memory. In it is the calico-node image's own
// root, as users get it, and beside it the test's tools, the kernel's modules and the test itself.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { buildImages } from '../../images/build.ts';
import { install, installFolder, installProgram } from '../../images/rootfs.ts';
import { ensurePackages } from '../cluster/packages.ts';
import { CACHE, toolPath } from '../cluster/tools.ts';
import { type GuestKernel, guestKernel } from './kernel.ts';

const HERE = import.meta.dirname;

/** What the test calls inside; the image itself holds the packet filter's programs. */
const PROGRAMS = [
  'ip',
  'ping',
  'curl',
  'nsenter',
  'unshare',
  'mount',
  'modprobe',
  'sysctl',
  'ipset',
];
const PACKAGES = ['qemu-system-x86', 'cpio', 'iproute2', 'iputils-ping', 'curl', 'kmod', 'procps'];
const FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Modules that nothing of ours asks for: sound, disks, graphics. */
const MODULES = ['net', 'drivers/net', 'lib', 'crypto', 'arch/x86/crypto'];

export interface GuestImage {
  readonly kernel: GuestKernel;
  readonly archive: string;
}

/** Builds it anew each time: it takes seconds. */
export async function guestImage(): Promise<GuestImage> {
  ensurePackages([...PACKAGES, 'busybox-static']);
  await buildImages();
  const kernel = guestKernel();
  const root = join(CACHE, 'guest-root');
  rmSync(root, { recursive: true, force: true });
  const image = join(CACHE, 'rootfs/calico-node');
  execFileSync('cp', ['-a', '--reflink=auto', image, root]);
  for (const program of PROGRAMS) installProgram(root, pathOf(program));
  install(root, '/bin/busybox', '/usr/bin/busybox');
  symlinkSync('busybox', join(root, 'usr/bin/sh'));
  install(root, await toolPath('etcd'), '/usr/local/bin/etcd');
  install(root, await toolPath('etcdctl'), '/usr/local/bin/etcdctl');
  install(root, join(HERE, 'init.sh'), '/init');
  copyModules(kernel, root);
  await bundleTest(root);
  symlinkSync('/opt/calico/node_modules', join(root, 'opt/test/node_modules'));
  installFolder(root, '/etc/protocols', '/etc/protocols');
  mkdirSync(join(root, 'etc/iproute2'), { recursive: true });
  // `ip route` names protocol 12 by it.
  const names = ['/etc/iproute2', '/usr/share/iproute2'].map((folder) => join(folder, 'rt_protos'));
  cpSync(names.find((path) => existsSync(path))!, join(root, 'etc/iproute2/rt_protos'));
  const archive = join(CACHE, 'guest.cpio');
  const pack = `find . -print0 | cpio --null --create --format=newc --quiet > ${archive}`;
  execFileSync('sh', ['-ec', pack], { cwd: root });
  return { kernel, archive };
}

function pathOf(program: string): string {
  const found = FOLDERS.map((folder) => join(folder, program)).find((path) => existsSync(path));
  if (!found) throw new Error(`this machine has no ${program}`);
  return found;
}

function copyModules({ modules, version }: GuestKernel, root: string): void {
  const to = join(root, 'usr/lib/modules', version);
  for (const part of MODULES) {
    mkdirSync(join(to, 'kernel', part), { recursive: true });
    cpSync(join(modules, 'kernel', part), join(to, 'kernel', part), { recursive: true });
  }
  for (const list of ['modules.dep', 'modules.dep.bin', 'modules.alias', 'modules.alias.bin'])
    cpSync(join(modules, list), join(to, list));
  for (const list of ['modules.builtin', 'modules.builtin.bin', 'modules.softdep'])
    if (existsSync(join(modules, list))) cpSync(join(modules, list), join(to, list));
  for (const list of ['modules.symbols', 'modules.symbols.bin', 'modules.order'])
    if (existsSync(join(modules, list))) cpSync(join(modules, list), join(to, list));
}

async function bundleTest(root: string): Promise<void> {
  await build({
    entryPoints: [{ in: join(HERE, 'inside/main.ts'), out: 'inside' }],
    outdir: join(root, 'opt/test'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['koffi', 'esbuild'],
    define: { 'import.meta.main': 'false' }, // of the modules that are programs as well
    logLevel: 'error',
  });
}
