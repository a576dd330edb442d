// Which cluster a command works on: CLUSTER=netns (the default), network namespaces of this machine;
// CLUSTER=kind, containers.
import type { Cluster } from './cluster.ts';
import { kindCluster } from './kind/kind-cluster.ts';
import { mustBeRoot, netnsCluster } from './netns/netns-cluster.ts';

const KINDS: Readonly<Record<string, () => Cluster>> = {
  netns: () => {
    mustBeRoot();
    return netnsCluster();
  },
  kind: kindCluster,
};

export function chosenCluster(name = process.env['CLUSTER'] || 'netns'): Cluster {
  const make = KINDS[name];
  if (!make)
    throw new Error(`CLUSTER=${name}: no such cluster; use ${Object.keys(KINDS).join(' or ')}`);
  return make();
}
