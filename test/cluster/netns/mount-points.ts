// Folders of the machine that a node covers with its own: they must exist to be mounted upon. Those
// that were not there before are recorded, and removed with the cluster.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RUN } from './layout.ts';

const RECORD = join(RUN, 'made-folders');

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
};

// containerd makes the source of a hostPath volume when it is missing.
const ALSO_USED = ['/lib/modules'];

export function makeMountPoints(): void {
  const missing = [...Object.values(OWN_FOLDERS), ...ALSO_USED].flatMap(missingFolders);
  writeFileSync(RECORD, missing.join('\n'));
  for (const folder of missing) mkdirSync(folder, { recursive: true });
}

/** The folder and its ancestors that do not exist, outermost first. */
function missingFolders(folder: string): readonly string[] {
  return existsSync(folder) ? [] : [...missingFolders(dirname(folder)), folder];
}

/** Removes what makeMountPoints made, unless somebody put something there. */
export function removeMountPoints(): void {
  if (!existsSync(RECORD)) return;
  const made = readFileSync(RECORD, 'utf8').split('\n').filter(Boolean);
  for (const folder of made.reverse()) {
    try {
      rmdirSync(folder);
    } catch {
      // not empty, or gone already
    }
  }
}
