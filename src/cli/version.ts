// `version`: this program's and, where somebody wrote it, the cluster's.

import type { World } from './ipam/world.ts';
import type { Output } from './output.ts';

export const VERSION = 'v0.1.0';

export function version({ cluster }: Pick<World, 'cluster'>): Output {
  const { calicoVersion, clusterType } = cluster ?? {};
  return {
    data: { client: VERSION, cluster: calicoVersion ?? null, clusterType: clusterType ?? null },
    lines: [
      `Client Version:    ${VERSION}`,
      ...(cluster
        ? [`Cluster Version:   ${calicoVersion ?? ''}`, `Cluster Type:      ${clusterType ?? ''}`]
        : ['Unable to detect installed Calico version']),
    ],
  };
}
