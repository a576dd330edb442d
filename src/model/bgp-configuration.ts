// BGPConfiguration: `default` for the cluster, `node.<name>` for one node.
import type { Resource } from './resource.ts';

export interface BgpConfigurationSpec {
  readonly logSeverityScreen?: string;
  /** Absent means true. */
  readonly nodeToNodeMeshEnabled?: boolean;
  /** Absent means 64512. */
  readonly asNumber?: number;
  /** Absent means 179. */
  readonly listenPort?: number;
}

export type BgpConfiguration = Resource<'BGPConfiguration', BgpConfigurationSpec>;
export const DEFAULT_AS_NUMBER = 64512;
export const BGP_PORT = 179;
