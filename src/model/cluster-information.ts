// ClusterInformation/default: whether the datastore may be used. An explicit false is never
// overwritten (calicoctl locks it during a migration).
import type { Resource } from './resource.ts';

export interface ClusterInformationSpec {
  /** UUID as 32 hex digits. */
  readonly clusterGUID?: string;
  readonly clusterType?: string;
  /** Left empty by us: calicoctl refuses versions other than its own. */
  readonly calicoVersion?: string;
  readonly datastoreReady?: boolean;
}

export type ClusterInformation = Resource<'ClusterInformation', ClusterInformationSpec>;
