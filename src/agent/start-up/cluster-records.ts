// The records that every cluster has, with the fields that Calico's own start-up fills in. A field
// that somebody set is never changed.
import type { ClusterPlural } from '../../model/keys.ts';
import type { Environment } from '../environment.ts';

export interface ClusterRecord {
  readonly kind: string;
  readonly plural: ClusterPlural;
  readonly name: string;
  /** Fields for what the record lacks. */
  readonly spec: Readonly<Record<string, string | number | boolean>>;
  /** Present fields decide: a record that exists stays as it is. */
  readonly onlyNew?: boolean;
}

const tier = (name: string, order: number, defaultAction: string): ClusterRecord => ({
  kind: 'Tier',
  plural: 'tiers',
  name,
  spec: { order, defaultAction },
  onlyNew: true,
});

/** In the order in which they are written. `guid`: 32 hex digits for a cluster that has none yet. */
export const clusterRecords = (
  env: Environment,
  node: string,
  guid: string,
): readonly ClusterRecord[] => [
  {
    kind: 'ClusterInformation',
    plural: 'clusterinformations',
    name: 'default',
    // calicoVersion stays empty: calicoctl refuses versions other than its own.
    spec: {
      clusterGUID: guid,
      clusterType: env['CLUSTER_TYPE'] || 'k8s,bgp',
      datastoreReady: true,
    },
  },
  tier('default', 1_000_000, 'Deny'),
  tier('kube-admin', 1_000, 'Pass'),
  tier('kube-baseline', 10_000_000, 'Pass'),
  {
    kind: 'FelixConfiguration',
    plural: 'felixconfigurations',
    name: 'default',
    spec: { logSeverityScreen: 'Info', reportingInterval: '0s' },
  },
  {
    kind: 'FelixConfiguration',
    plural: 'felixconfigurations',
    name: `node.${node}`,
    spec: { defaultEndpointToHostAction: 'Return' },
  },
  {
    kind: 'BGPConfiguration',
    plural: 'bgpconfigurations',
    name: 'default',
    spec: {},
    onlyNew: true,
  },
];
