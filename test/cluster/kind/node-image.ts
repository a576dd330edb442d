// A node image for kind where no container registry can be reached: Debian by debootstrap, the files that
// kind's own module brings for its image, the machine's Kubernetes binaries, and the control plane's images.
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { writeImageArchive } from '../../../images/oci-archive.ts';
import { emptyRoot, install, installFolder, installProgram } from '../../../images/rootfs.ts';
import { command } from '../command.ts';
import { buildTestImages } from '../images.ts';
import { PAUSE_IMAGE } from '../netns/layout.ts';
import { ensurePackages } from '../packages.ts';
import { CACHE, KUBERNETES_VERSION, moduleFolder, toolPath } from '../tools.ts';
import { UNITS } from './node-units.ts';

export const NODE_IMAGE = 'calico-kit/kind-node:local';

const SYSTEM: readonly string[] = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'iptables',
  'nftables',
  'iproute2',
  'ethtool',
  'util-linux',
  'mount',
  'kmod',
  'procps',
  'ca-certificates',
  'conntrack',
  'ebtables',
  'socat',
  'ipset',
  'hostname',
  'curl',
  'jq',
  'libseccomp2',
  'e2fsprogs',
  'runc',
];
const RUNTIME = ['containerd', 'containerd-shim-runc-v2', 'ctr'];
const KUBELET = ['kubeadm', 'kubelet', 'kubectl'];
const CNI_PLUGINS = ['loopback', 'ptp', 'bridge', 'host-local', 'portmap'];
const PROXY_TOOLS = ['xtables-nft-multi', 'xtables-legacy-multi', 'conntrack', 'ipset'];
const XTABLES = '/usr/lib/x86_64-linux-gnu/xtables';
/** As kubeadm 1.36 asks for it. */
const ETCD_TAG = '3.6.8-0';

/** The root folder of a node; made anew when this folder's files or a binary's version change. */
export async function nodeRoot(): Promise<string> {
  const folder = join(CACHE, 'kind/root');
  const stamp = join(CACHE, 'kind/.root.stamp');
  const wanted = [KUBERNETES_VERSION, ...sources()].join('\n');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return folder;
  rmSync(stamp, { force: true });
  mkdirSync(join(CACHE, 'kind'), { recursive: true });
  rmSync(folder, { recursive: true, force: true });
  await system(folder);
  await kindFiles(folder);
  await programs(folder);
  await images(folder);
  write(folder, 'kind/version', KUBERNETES_VERSION);
  for (const [path, text] of Object.entries(UNITS)) write(folder, path, text);
  writeFileSync(stamp, wanted);
  return folder;
}

const sources = (): readonly string[] =>
  ['node-image.ts', 'node-units.ts'].map((name) =>
    readFileSync(join(import.meta.dirname, name), 'utf8'),
  );

function write(folder: string, path: string, text: string): void {
  const file = join(folder, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
}

/** A bare Debian from where this machine's own packages come; kept, since it takes the longest. */
async function system(folder: string): Promise<void> {
  const base = join(CACHE, 'kind/debian.tar');
  const list = join(CACHE, 'kind/.debian.list');
  if (!existsSync(list) || readFileSync(list, 'utf8') !== SYSTEM.join(' ')) {
    ensurePackages(['debootstrap']);
    const fresh = `${folder}.debian`;
    rmSync(fresh, { recursive: true, force: true });
    await command([
      'debootstrap',
      '--variant=minbase',
      `--include=${SYSTEM.join(',')}`,
      'bookworm',
      fresh,
      await mirror(),
    ]);
    await command(['tar', '-C', fresh, '-cf', base, '.']);
    rmSync(fresh, { recursive: true, force: true });
    writeFileSync(list, SYSTEM.join(' '));
  }
  mkdirSync(folder);
  await command(['tar', '-C', folder, '-xf', base]);
}

async function mirror(): Promise<string> {
  const format = '$' + '(SITE) $' + '(CODENAME)'; // apt's own placeholders
  const targets = await command(['apt-get', 'indextargets', '--format', format]);
  const line = targets.split('\n').find((text) => / bookworm$/.test(text.trim()));
  const site = line?.trim().split(' ')[0];
  if (!site) throw new Error('apt knows no place for Debian bookworm: see /etc/apt/sources.list');
  return site;
}

/** What kind's Dockerfile for its base image does. */
async function kindFiles(folder: string): Promise<void> {
  const files = join(await moduleFolder('kind', 'sigs.k8s.io/kind'), 'images/base/files');
  await command(['cp', '-r', '--no-preserve=mode', `${files}/.`, `${folder}/`]);
  for (const place of ['usr/local/bin', 'kind/bin'])
    for (const name of existsSync(join(folder, place)) ? readdirSync(join(folder, place)) : [])
      chmodSync(join(folder, place, name), 0o755);
  const links = [
    'lib/systemd/system/multi-user.target.wants',
    'lib/systemd/system/local-fs.target.wants',
    'etc/systemd/system/multi-user.target.wants',
    'etc/systemd/system/getty.target.wants',
  ];
  for (const wants of links) rmSync(join(folder, wants), { recursive: true, force: true });
  rmSync(join(folder, 'lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service'), {
    force: true,
  });
  const sockets = join(folder, 'lib/systemd/system/sockets.target.wants');
  for (const name of existsSync(sockets) ? readdirSync(sockets) : [])
    if (name.includes('udev')) rmSync(join(sockets, name));
  rmSync(join(folder, 'usr/sbin/policy-rc.d'), { force: true });
  appendFileSync(join(folder, 'etc/systemd/journald.conf'), 'ReadKMsg=no\n');
  const wanted = join(folder, 'etc/systemd/system/multi-user.target.wants');
  mkdirSync(wanted, { recursive: true });
  for (const unit of ['kubelet', 'containerd', 'undo-mount-hacks'])
    symlinkSync(`/etc/systemd/system/${unit}.service`, join(wanted, `${unit}.service`));
  symlinkSync('/dev/null', join(folder, 'etc/systemd/system/systemd-sysctl.service'));
}

async function programs(folder: string): Promise<void> {
  const place = async (names: readonly string[], where: string): Promise<void> => {
    for (const name of names) install(folder, await toolPath(name), `${where}/${name}`);
  };
  await place(RUNTIME, '/usr/local/bin');
  await place(KUBELET, '/usr/bin');
  await place(CNI_PLUGINS, '/opt/cni/bin');
  mkdirSync(join(folder, 'usr/local/sbin'), { recursive: true });
  if (!existsSync(join(folder, 'usr/local/sbin/runc')))
    symlinkSync('/usr/sbin/runc', join(folder, 'usr/local/sbin/runc'));
  mkdirSync(join(folder, 'etc/kubernetes/manifests'), { recursive: true });
  const config = join(folder, 'etc/containerd/config.toml');
  writeFileSync(
    config,
    readFileSync(config, 'utf8')
      .replace(/registry\.k8s\.io\/pause:[0-9.]+/g, PAUSE_IMAGE)
      .replace('restrict_oom_score_adj = false', 'restrict_oom_score_adj = true')
      .replace(/^.*base_runtime_spec.*\n/gm, '')
      .replaceAll('SystemdCgroup = true', 'SystemdCgroup = false'),
  );
}

/** The control plane's images beside containerd, which takes them in when it starts. */
async function images(folder: string): Promise<void> {
  const place = join(folder, 'kind/images');
  mkdirSync(place, { recursive: true });
  for (const name of ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy'])
    await image(place, name, KUBERNETES_VERSION);
  await image(place, 'etcd', ETCD_TAG);
  const [pause] = await buildTestImages();
  cpSync(pause!, join(place, 'pause.tar'));
}

async function image(place: string, name: string, tag: string): Promise<void> {
  const rootfs = join(CACHE, 'rootfs', `kind-${name}`);
  emptyRoot(rootfs);
  install(rootfs, await toolPath(name), `/usr/local/bin/${name}`);
  if (name === 'kube-proxy') {
    for (const tool of PROXY_TOOLS) installProgram(rootfs, `/usr/sbin/${tool}`);
    installFolder(rootfs, XTABLES, XTABLES);
    for (const family of ['iptables', 'ip6tables'])
      for (const verb of ['', '-save', '-restore'])
        symlinkSync('xtables-nft-multi', join(rootfs, 'usr/sbin', `${family}${verb}`));
  }
  writeImageArchive({
    out: join(place, `${name}.tar`),
    rootfs,
    config: { Env: ['PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
    names: [`registry.k8s.io/${name}:${tag}`],
  });
}
