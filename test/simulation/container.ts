// A container as its runtime knows it, with what it asks for, and the WorkloadEndpoint it gets.
import { namespacedKey } from '../../src/model/keys.ts';
import { API_VERSION, printResource } from '../../src/model/resource.ts';
import { workloadEndpointName } from '../../src/model/workload-endpoint.ts';
import { bitsOf, familyOf, type Ip } from '../../src/net/ip.ts';
import type { Process, SimulatedNode } from './node.ts';
import type { PoolPlan } from './plan.ts';
import type { Micros } from './scheduler.ts';

const NETWORK = 'k8s-pod-network';

/** An owner whose address outlives its pods. */
export interface Keeper {
  readonly handle: string;
  node: SimulatedNode | undefined;
  busy: boolean;
}

/** `failed`: asked for, not known to be there; `doomed`: its DEL did not succeed yet. */
export type Phase = 'new' | 'adding' | 'running' | 'failed' | 'deleting' | 'doomed' | 'gone';

export interface Wishes {
  readonly keeper?: Keeper | undefined;
  readonly requested?: Ip | undefined;
  readonly pool?: PoolPlan | undefined;
}

/** An address of a kept handle in one of its lives. */
export interface Life {
  readonly handle: string;
  readonly ip: Ip;
  readonly sequenceNumber: number | bigint;
}

export class Container {
  readonly id: string;
  readonly node: SimulatedNode;
  /** Its name: that of other containers too, before and after. */
  readonly pod: string;
  readonly endpointKey: string;
  readonly keeper: Keeper | undefined;
  readonly requested: Ip | undefined;
  /** The pool that is asked for by name. */
  readonly pool: PoolPlan | undefined;
  phase: Phase = 'new';
  ips: readonly Ip[] = [];

  constructor(id: string, node: SimulatedNode, pod: string, wishes: Wishes = {}) {
    this.id = id;
    this.node = node;
    this.pod = pod;
    const parts = { node: node.name, orchestrator: 'k8s', workload: pod, endpoint: 'eth0' };
    this.endpointKey = namespacedKey('workloadendpoints', 'default', workloadEndpointName(parts));
    this.keeper = wishes.keeper;
    this.requested = wishes.requested;
    this.pool = wishes.pool;
  }

  get handle(): string {
    return `${NETWORK}.${this.id}`;
  }

  /** What the addresses are held under. */
  get holder(): string {
    return this.keeper?.handle ?? this.handle;
  }
}

export const attributesOf = ({ pod, node }: Container, process: Process, since: Micros) => ({
  node: node.name,
  namespace: 'default',
  pod,
  timestamp: `${since} ${process.connection.name}`,
});

export const endpointOf = ({ id, node }: Container, ips: readonly Ip[]): string =>
  printResource({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name: id, namespace: 'default' },
    spec: {
      orchestrator: 'k8s',
      node: node.name,
      endpoint: 'eth0',
      containerID: id,
      ipNetworks: ips.map((ip) => `${ip}/${bitsOf(familyOf(ip))}`),
    },
  });
