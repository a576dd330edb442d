// Names of host-side interfaces (spec: Calico's `cali` plus a digest; IFNAMSIZ is 16 with the NUL).
import { hex } from '../base/hash.ts';

/** Host end of a Kubernetes pod's veth: `cali` + 11 hex digits of sha1("<namespace>.<pod>"). */
export const podInterfaceName = (namespace: string, pod: string): string =>
  `cali${hex('sha1', `${namespace}.${pod}`).slice(0, 11)}`;

/** Host end for a container outside Kubernetes: `cali` + the container ID's first 11 characters. */
export const containerInterfaceName = (containerId: string): string =>
  `cali${containerId.slice(0, 11)}`;

/** Host end of a further interface of a pod or container: no two interfaces share a name. */
export const furtherInterfaceName = (owner: string, ifname: string): string =>
  `cali${hex('sha1', `${owner}/${ifname}`).slice(0, 11)}`;
