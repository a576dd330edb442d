// Folders of the machine that a node covers with its own: they must exist to be mounted upon. Those
// that were not there before are recorded, and removed with the cluster.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { RUN } from './layout.ts';

const NAME = 'made-folders';
const RECORD = join(RUN, NAME);

/** Folder of a node's state -> place where the node sees it. */
export const OWN_FOLDERS: Readonly<Record<string, string>> = {
  run: '/run',
  log: '/var/log',
  kubelet: '/var/lib/kubelet',
  containerd: '/var/lib/containerd',
  'cni-conf': '/etc/cni/net.d',
  'cni-bin': '/opt/cni/bin',
  'cni-cache': '/var/lib/cni',
  calico: '/var/lib/calico',
  etcd: '/var/etcd',
  'etcd-snapshots': '/var/etcd-snapshots',
};

// containerd makes the source of a hostPath volume when it is missing.
const ALSO_USED = ['/lib/modules'];

export function makeMountPoints(): void {
  const missing = [...Object.values(OWN_FOLDERS), ...ALSO_USED].flatMap(missingFolders);
  writeFileSync(RECORD, missing.join('\n'));
  for (const folder of missing) mkdirSync(folder, { recursive: true });
}

/** Where anything is mounted, as any process of the machine sees it. */
function mountPointsOfAll(): ReadonlySet<string> {
  const points = new Set<string>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
      for (const line of lines) points.add(line.split(' ')[4] ?? '');
    } catch {
      // gone meanwhile
    }
  }
  return points;
}

const otherClusters = (): readonly string[] =>
  readdirSync(dirname(RUN))
    .map((name) => join(dirname(RUN), name))
    .filter((folder) => folder !== RUN && existsSync(join(folder, NAME)));

/** The folder and its ancestors that do not exist, outermost first. */
function missingFolders(folder: string): readonly string[] {
  return existsSync(folder) ? [] : [...missingFolders(dirname(folder)), folder];
}

/**
 * Removes what makeMountPoints made, unless somebody put something there. Removing a folder would
 * unmount what another cluster has on it, so the last cluster to go removes it.
 */
export function removeMountPoints(): void {
  if (!existsSync(RECORD)) return;
  const made = readFileSync(RECORD, 'utf8').split('\n').filter(Boolean);
  const [heir] = otherClusters();
  if (heir !== undefined) {
    appendFileSync(join(heir, NAME), ['', ...made, ''].join('\n'));
    return;
  }
  const mounted = mountPointsOfAll();
  for (const folder of made.sort().reverse()) {
    if (mounted.has(folder)) continue;
    try {
      rmdirSync(folder);
    } catch {
      // not empty, or gone already
    }
  }
}
