// Debian packages that the root tests and the cluster need; installs only what is missing.
import { execFileSync } from 'node:child_process';

/** What the cluster and the images need. */
export const CLUSTER_PACKAGES: readonly string[] = [
  'iptables',
  'ipset',
  'conntrack',
  'iproute2',
  'procps',
  'curl',
  'runc',
  'busybox-static',
];

/** What the tests need besides: BIRD, GoBGP and FRR as peers, ping, tools of a namespace. */
export const PACKAGES: readonly string[] = [
  ...CLUSTER_PACKAGES,
  'iputils-ping',
  'bird2',
  'gobgpd',
  'frr',
  'socat',
  'ethtool',
  'kmod',
];

// dpkg-query's own placeholder.
const STATUS = '$' + '{db:Status-Status}';

const installed = (name: string): boolean => {
  try {
    const state = execFileSync('dpkg-query', ['-W', '-f', STATUS, name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return state === 'installed';
  } catch {
    return false;
  }
};

/** Installs what is missing. Daemons of the packages are not started. */
export function ensurePackages(names: readonly string[] = PACKAGES): readonly string[] {
  const missing = names.filter((name) => !installed(name));
  if (missing.length === 0) return [];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  execFileSync('apt-get', ['-qq', 'update'], { env, stdio: 'inherit' });
  execFileSync('apt-get', ['-qq', 'install', '-y', '--no-install-recommends', ...missing], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return missing;
}

if (import.meta.main) {
  const added = ensurePackages();
  if (added.length > 0) console.log(`installed: ${added.join(' ')}`);
}
