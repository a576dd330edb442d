// Debian packages that the root tests and the cluster need; installs only what is missing.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

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

/** What the tests need besides: BIRD, GoBGP and FRR as peers, a reader of MRT, others' CNI plugins,
 *  ping, tools. */
export const PACKAGES: readonly string[] = [
  ...CLUSTER_PACKAGES,
  'iputils-ping',
  'bird2',
  'gobgpd',
  'frr',
  'bgpdump',
  'containernetworking-plugins',
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

/** Installs what is missing; answers what that was. Daemons of the packages are not started. */
export function ensurePackages(names: readonly string[] = PACKAGES): readonly string[] {
  const missing = names.filter((name) => !installed(name));
  if (missing.length === 0) return [];
  const allowStart = forbidStart();
  try {
    aptGet(['update']);
    aptGet(['install', '-y', '--no-install-recommends', ...missing]);
  } finally {
    allowStart();
  }
  return missing;
}

function aptGet(args: readonly string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    execFileSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    const { code, stderr } = cause as { code?: string; stderr?: Buffer };
    if (code === 'ENOENT') throw new Error('apt-get not found: this needs Debian or a kin of it');
    throw new Error(`apt-get ${args.join(' ')}: ${stderr?.toString().trim() ?? String(cause)}`);
  }
}

const POLICY = '/usr/sbin/policy-rc.d';

// Packages ask this script whether their daemons may start; 101 says no.
function forbidStart(): () => void {
  if (existsSync(POLICY)) return () => {};
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return () => rmSync(POLICY, { force: true });
}

if (import.meta.main) {
  const added = ensurePackages();
  if (added.length > 0) console.log(`installed: ${added.join(' ')}`);
}
