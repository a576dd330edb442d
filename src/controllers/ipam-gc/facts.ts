// What the garbage collection of addresses knows at one look.
import type { Cidr } from '../../net/cidr.ts';
import type { Ip } from '../../net/ip.ts';

/** An allocated address as a block records it. */
export interface Allocation {
  readonly ip: Ip;
  readonly handle: string | undefined;
  /** Name of the pool that its block lies in. */
  readonly pool: string | undefined;
  /** The node whose block it is in. */
  readonly owner: string | undefined;
  /** Names this life of the address. */
  readonly sequenceNumber: number | bigint | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface OwnedBlock {
  readonly cidr: Cidr;
  /** The pool it lies in. */
  readonly pool: string | undefined;
  readonly node: string;
  readonly sequenceNumber: number | bigint;
  readonly size: number;
  readonly used: number;
}

export interface PoolFacts {
  readonly name: string;
  readonly range: Cidr;
  readonly size: bigint;
  /** Addresses of it that an IPReservation covers. */
  readonly reserved: bigint;
}

export interface PodFacts {
  /** Kubernetes' name of the node. */
  readonly node: string | undefined;
  readonly isFinished: boolean;
  /** By its status. */
  readonly ips: readonly string[];
}

export interface Facts {
  readonly allocations: readonly Allocation[];
  readonly blocks: readonly OwnedBlock[];
  readonly pools: readonly PoolFacts[];
  /** Nodes that a block or an affinity names, finished or not. */
  readonly owners: ReadonlySet<string>;
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, PodFacts>;
  /** Addresses of the pod's WorkloadEndpoints, by `namespace/name`. */
  readonly endpoints: ReadonlyMap<string, ReadonlySet<string>>;
  /** Ordinals that a StatefulSet has pods for, by `namespace/name`. */
  readonly statefulSets: ReadonlyMap<string, { readonly first: number; readonly count: number }>;
  /** KubeVirt's VMs among those that addresses are kept for, by `namespace/name`. */
  readonly machines: ReadonlySet<string>;
  /** IPAMConfig kubeVirtVMAddressPersistence: otherwise they are their pods' alone. */
  readonly keepsMachines: boolean;
  /** Names in Kubernetes. */
  readonly kubernetesNodes: ReadonlySet<string>;
  /** Calico's nodes with their name in Kubernetes; undefined for one that is not of Kubernetes. */
  readonly nodes: ReadonlyMap<string, string | undefined>;
}

/** The VM that an address is kept for, `namespace/name`. */
export function machineIn({ attributes }: Allocation): string | undefined {
  const { namespace, 'vmi-name': name } = attributes;
  return namespace === undefined || name === undefined ? undefined : `${namespace}/${name}`;
}

/** Whether the address's node left Kubernetes. */
export function isNodeGone({ nodes, kubernetesNodes }: Facts, { attributes }: Allocation): boolean {
  const { node } = attributes;
  if (node === undefined) return false;
  const name = nodes.has(node) ? nodes.get(node) : node;
  return name !== undefined && !kubernetesNodes.has(name);
}

const MACHINE_MILLISECONDS = 5 * 60_000;

/** How long an address has to seem unused: that of a VM for some minutes, even when its node is gone. */
export function graceOf(facts: Facts, allocation: Allocation, milliseconds: number): number {
  if (machineIn(allocation) !== undefined) return Math.max(milliseconds, MACHINE_MILLISECONDS);
  return isNodeGone(facts, allocation) ? 0 : milliseconds;
}
