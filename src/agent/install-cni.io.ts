// The init container: plugins into the runtime's folder, a kubeconfig, and the network
// configuration last, since its appearance makes the kubelet call the plugins. Every file arrives
// by a rename, so that no link is followed and nobody sees half of it. A record beside the plugins
// names the files that are ours; the uninstaller removes those and no others.
import { createHash, randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Environment } from './environment.ts';
import { renderKubeconfig } from './install-cni/kubeconfig.ts';
import { KUBECONFIG_NAME, placeholdersOf, renderConflist } from './install-cni/render-conflist.ts';

/** Folders; a test gives its own. */
export interface InstallPlaces {
  /** Plugins in the image. */
  readonly source: string;
  readonly bin: string;
  readonly net: string;
  readonly serviceAccount: string;
}

const PLACES: InstallPlaces = {
  source: '/opt/calico/cni',
  bin: '/host/opt/cni/bin',
  net: '/host/etc/cni/net.d',
  serviceAccount: '/var/run/secrets/kubernetes.io/serviceaccount',
};

/** Names that belong to us alone. */
const OWN = ['calico', 'calico-ipam'];
/** Common plugins: another owner's copy is left as it is. */
const COMMON = ['portmap', 'bandwidth', 'loopback'];
const RECORD = '.calico-kit.json';

/** File name -> SHA-256 of what we wrote. */
type Written = Record<string, string>;

/** Writes everything, or throws with what is wrong; a bad configuration writes nothing at all. */
export function installCni(env: Environment, places: InstallPlaces = PLACES): void {
  const name = conflistName(env);
  const token = readIfThere(join(places.serviceAccount, 'token')).trim();
  const placeholders = placeholdersOf(env, { hostName: hostname(), token });
  const conflist = renderConflist(templateOf(env), placeholders);
  if (!conflist.ok) throw new Error(conflist.error);
  for (const folder of [places.bin, places.net]) mkdirSync(folder, { recursive: true });
  installPlugins(env, places);
  if (token !== '' && env['KUBERNETES_SERVICE_HOST']) {
    const kubeconfig = renderKubeconfig({
      host: env['KUBERNETES_SERVICE_HOST'],
      port: env['KUBERNETES_SERVICE_PORT'] || '443',
      token,
      authority: readIfThere(join(places.serviceAccount, 'ca.crt')),
    });
    replaceFile(join(places.net, KUBECONFIG_NAME), kubeconfig, 0o600);
  }
  replaceFile(join(places.net, name), conflist.value, 0o600);
}

/** Removes what installCni wrote and nobody changed since; repeating it is fine. */
export function uninstallCni(env: Environment, places: InstallPlaces = PLACES): void {
  for (const name of [conflistName(env), KUBECONFIG_NAME])
    rmSync(join(places.net, name), { force: true });
  const written = readRecord(places.bin);
  for (const [name, digest] of Object.entries(written)) {
    const path = join(places.bin, name);
    if (isFile(path) && sha256(readFileSync(path)) === digest) rmSync(path);
  }
  rmSync(join(places.bin, RECORD), { force: true });
}

function installPlugins(env: Environment, { source, bin }: InstallPlaces): void {
  const skipped = (env['SKIP_CNI_BINARIES'] ?? '').split(',').map((name) => name.trim());
  const update = (env['UPDATE_CNI_BINARIES'] || 'true').toLowerCase() === 'true';
  const written = readRecord(bin);
  for (const name of [...OWN, ...COMMON].filter((plugin) => !skipped.includes(plugin))) {
    const there = existsSync(join(bin, name));
    const ours = OWN.includes(name) || name in written;
    if (there && !(update && ours)) continue;
    const bytes = readFileSync(join(source, name));
    const digest = sha256(bytes);
    // The record comes first: an installer that dies in between leaves no file without an owner.
    if (written[name] !== digest) {
      written[name] = digest;
      replaceFile(join(bin, RECORD), JSON.stringify(written), 0o644);
    }
    if (!isFile(join(bin, name)) || sha256(readFileSync(join(bin, name))) !== digest)
      replaceFile(join(bin, name), bytes, 0o755);
  }
}

function templateOf(env: Environment): string {
  const file = env['CNI_NETWORK_CONFIG_FILE'];
  const template = env['CNI_NETWORK_CONFIG'] || (file && readFileSync(file, 'utf8'));
  if (template) return template;
  throw new Error('CNI_NETWORK_CONFIG: empty; give the network configuration (JSON)');
}

function conflistName(env: Environment): string {
  const name = env['CNI_CONF_NAME'] || '10-calico.conflist';
  if (name.includes('/') || name.startsWith('.'))
    throw new Error(`CNI_CONF_NAME: '${name}' must be a plain file name`);
  return name;
}

function readRecord(bin: string): Written {
  const path = join(bin, RECORD);
  if (!isFile(path)) return {};
  const written = JSON.parse(readFileSync(path, 'utf8')) as Written;
  const known = [...OWN, ...COMMON];
  return Object.fromEntries(Object.entries(written).filter(([name]) => known.includes(name)));
}

/** The new file has the name at once and whole; mode is exact, whatever the umask. */
function replaceFile(path: string, content: string | Buffer, mode: number): void {
  const unfinished = `${path}.${randomUUID()}`;
  try {
    writeFileSync(unfinished, content, { flag: 'wx', mode, flush: true });
    chmodSync(unfinished, mode);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const isFile = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
const readIfThere = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : '');
