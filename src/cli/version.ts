// `version`: this program's and, where somebody wrote it, the cluster's.
import type { World } from './ipam/world.ts';
import type { Output } from './output.ts';

export const VERSION = 'v0.1.0';

/** `cluster` undefined: only this program is asked for. */
export function version(commit: string, world: Pick<World, 'cluster'> | undefined): Output {
  const cluster = world?.cluster;
  const { calicoVersion, clusterType } = cluster ?? {};
  return {
    data: {
      client: VERSION,
      commit,
      cluster: calicoVersion ?? null,
      clusterType: clusterType ?? null,
    },
    lines: [
      `Client Version:    ${VERSION}`,
      `Git commit:        ${commit}`,
      ...(cluster
        ? [`Cluster Version:   ${calicoVersion ?? ''}`, `Cluster Type:      ${clusterType ?? ''}`]
        : []),
      ...(world && !cluster ? ['Unable to detect installed Calico version'] : []),
    ],
  };
}

/** The datastore could not be asked. */
export function unknownCluster(commit: string, why: string): Output {
  const client = version(commit, undefined);
  return {
    data: { ...(client.data as object), problem: why },
    lines: [...client.lines, `Unable to retrieve Cluster Version: ${why}`],
    failed: true,
  };
}
