// `make images`: calico-node, kube-controllers and etcd as OCI archives, assembled from Node, a
// bundle per program, and the distribution's packet filter tools. No builder, no registry; the same
// inputs give the same bytes.
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { locked } from '../test/cluster/lock.ts';
import { ensurePackages } from '../test/cluster/packages.ts';
import { CACHE, toolPath } from '../test/cluster/tools.ts';
import { bundle, installKoffi } from './bundle.ts';
import { type ImageConfig, writeImageArchive } from './oci-archive.ts';
import { emptyRoot, install, installFolder, installLibraries, installProgram } from './rootfs.ts';
import { shimPath } from './shim.ts';

const ROOT = join(import.meta.dirname, '..');
const VERSION = '0.1.0';
const NODE = join(ROOT, 'node_modules/node/bin/node');
const ETCD = ['etcd', 'etcdctl'];
/** What prepares a member before it starts. */
const ETCD_PREPARED = ['etcd', 'etcdutl'];
const PLUGINS = ['portmap', 'bandwidth', 'loopback'];
const LIBRARIES = '/usr/lib/x86_64-linux-gnu';

const PACKET_FILTER = [
  '/usr/sbin/iptables-nft-restore',
  '/usr/sbin/iptables-nft-save',
  '/usr/sbin/iptables-legacy-restore',
  '/usr/sbin/iptables-legacy-save',
  '/usr/sbin/ip6tables-nft-restore',
  '/usr/sbin/ip6tables-nft-save',
  '/usr/sbin/ip6tables-legacy-restore',
  '/usr/sbin/ip6tables-legacy-save',
  '/usr/sbin/ipset',
  '/usr/sbin/conntrack',
  '/usr/bin/stdbuf',
];

async function nodeRoot(name: string): Promise<string> {
  const folder = join(CACHE, 'rootfs', name);
  emptyRoot(folder);
  install(folder, NODE, '/usr/local/bin/node');
  installLibraries(folder, NODE);
  return folder;
}

async function calicoNode(): Promise<string> {
  ensurePackages(['iptables', 'ipset', 'conntrack', 'netbase']);
  const folder = await nodeRoot('calico-node');
  for (const program of PACKET_FILTER) installProgram(folder, program);
  install(folder, '/usr/libexec/coreutils/libstdbuf.so', '/usr/libexec/coreutils/libstdbuf.so');
  installFolder(folder, join(LIBRARIES, 'xtables'), join(LIBRARIES, 'xtables'));
  for (const extension of readdirSync(join(LIBRARIES, 'xtables'))) {
    installLibraries(folder, join(LIBRARIES, 'xtables', extension));
  }
  installFolder(folder, '/etc/protocols', '/etc/protocols'); // names such as ipencap in rules read back
  await bundle('agent', join(folder, 'opt/calico'));
  await bundle('speaker', join(folder, 'opt/calico'));
  await bundle('cli', join(folder, 'opt/calico'));
  installKoffi(join(folder, 'opt/calico'));
  const shim = await shimPath();
  for (const type of ['calico', 'calico-ipam']) install(folder, shim, `/opt/calico/cni/${type}`);
  for (const plugin of PLUGINS)
    install(folder, await toolPath(plugin), `/opt/calico/cni/${plugin}`);
  return folder;
}

async function kubeControllers(): Promise<string> {
  const folder = await nodeRoot('kube-controllers');
  await bundle('controllers', join(folder, 'opt/calico'));
  await bundle('cli', join(folder, 'opt/calico'));
  for (const name of ETCD_PREPARED) install(folder, await toolPath(name), `/usr/local/bin/${name}`);
  return folder;
}

async function etcd(): Promise<string> {
  const folder = join(CACHE, 'rootfs/etcd');
  emptyRoot(folder);
  for (const name of ETCD) install(folder, await toolPath(name), `/usr/local/bin/${name}`);
  return folder;
}

const PATH = 'PATH=/usr/local/bin:/usr/sbin:/usr/bin';
const COMPILE_CACHE = 'NODE_COMPILE_CACHE=/tmp/node-compile-cache';

interface Image {
  readonly name: string;
  readonly root: () => Promise<string>;
  readonly config: ImageConfig;
  /** Programs of ours inside. */
  readonly programs: readonly string[];
  /** Binaries from Go modules inside. */
  readonly tools: readonly string[];
}

const node = (program: string): ImageConfig => ({
  Entrypoint: ['/usr/local/bin/node', `/opt/calico/${program}.mjs`],
  Env: [PATH, COMPILE_CACHE, 'NODE_ENV=production'],
});

const IMAGES: readonly Image[] = [
  {
    name: 'etcd',
    root: etcd,
    config: { Entrypoint: ['/usr/local/bin/etcd'], Env: [PATH] },
    programs: [],
    tools: ETCD,
  },
  {
    name: 'kube-controllers',
    root: kubeControllers,
    config: node('controllers'),
    programs: ['controllers', 'cli'],
    tools: ETCD_PREPARED,
  },
  {
    name: 'calico-node',
    root: calicoNode,
    config: node('agent'),
    programs: ['agent', 'speaker', 'cli'],
    tools: PLUGINS,
  },
];

/** Builds what changed; answers the archives' paths. `anew`: builds everything. */
export function buildImages({ anew = false } = {}): Promise<readonly string[]> {
  const folder = join(CACHE, 'images');
  mkdirSync(folder, { recursive: true });
  return locked(join(folder, '.lock'), () => buildInto(folder, anew));
}

async function buildInto(folder: string, anew: boolean): Promise<readonly string[]> {
  const archives: string[] = [];
  for (const image of IMAGES) {
    const out = join(folder, `${image.name}.tar`);
    const stamp = join(folder, `.${image.name}.inputs`);
    const inputs = await inputsOf(image);
    if (anew || !existsSync(out) || readIfThere(stamp) !== inputs) {
      const names = [`docker.io/calico-kit/${image.name}:${VERSION}`];
      rmSync(stamp, { force: true });
      writeImageArchive({ out, rootfs: await image.root(), config: image.config, names });
      writeFileSync(stamp, inputs);
    }
    archives.push(out);
  }
  return archives;
}

/** Digest of everything that decides an image's bytes; machine files count by size and time. */
async function inputsOf({ programs, tools, config }: Image): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(config));
  const scripts = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.ts'));
  for (const name of scripts.sort()) hash.update(readFileSync(join(import.meta.dirname, name)));
  const files = await Promise.all(tools.map(toolPath));
  if (programs.length > 0) files.push(NODE, join(ROOT, 'node_modules/koffi/package.json'));
  if (programs.includes('agent')) {
    files.push('/var/lib/dpkg/status');
    hash.update(readFileSync(await shimPath()));
  }
  for (const file of files) {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  for (const program of programs) {
    const folder = join(CACHE, 'bundles');
    for (const path of await bundle(program, folder)) hash.update(readFileSync(path));
  }
  return hash.digest('hex');
}

const readIfThere = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');

if (import.meta.main) {
  for (const archive of await buildImages()) console.log(archive);
}
