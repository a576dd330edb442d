// The facts for a look, from Kubernetes' objects and one listing of the datastore.
import { handleOf, isKept, ownerOf } from '../../ipam/block.ts';
import { isCooling } from '../../ipam/cooldown.ts';
import { coveredIn } from '../../ipam/pools/ranges.ts';
import { isFinished, type Pod, type StatefulSet } from '../../kubernetes/api.ts';
import { checkIpPoolSpec, type IpPoolSpec } from '../../model/ip-pool.ts';
import { checkIpReservationSpec, type IpReservationSpec } from '../../model/ip-reservation.ts';
import {
  type IpamBlock,
  isConfirmed,
  parseAffinity,
  parseBlock,
  parseIpamConfig,
} from '../../model/ipam.ts';
import { type IpamConfig, keepsMachines } from '../../model/ipam-config.ts';
import { parseKey } from '../../model/keys.ts';
import type { NodeSpec } from '../../model/node.ts';
import { parseResource } from '../../model/resource.ts';
import type { WorkloadEndpointSpec } from '../../model/workload-endpoint.ts';
import { type Cidr, cidr, containsCidr, ipAt, sizeOf } from '../../net/cidr.ts';
import type { Allocation, Facts, OwnedBlock, PodFacts } from './facts.ts';

interface Item {
  readonly key: string;
  readonly value: string;
}

/** Kubernetes' objects by name, or `namespace/name`. */
export interface Cluster {
  readonly pods: ReadonlyMap<string, PodFacts>;
  readonly statefulSets: ReadonlyMap<string, { readonly first: number; readonly count: number }>;
  readonly nodes: ReadonlySet<string>;
  readonly machines?: ReadonlySet<string>;
}

export function podFacts(pod: Pod): PodFacts {
  const { spec, status } = pod;
  return {
    node: spec.nodeName,
    isFinished: isFinished(pod),
    ips: status?.podIPs?.map(({ ip }) => ip) ?? (status?.podIP ? [status.podIP] : []),
  };
}

export const ordinalsOf = ({ spec }: StatefulSet): { first: number; count: number } => ({
  first: spec.ordinals?.start ?? 0,
  count: spec.replicas ?? 1,
});

/** `items`: what is stored in IPAM and in resources. */
export function gather(items: readonly Item[], cluster: Cluster): Facts {
  const blocks: IpamBlock[] = [];
  const confirmed = new Set<string>();
  const owners = new Set<string>();
  const pools: Named[] = [];
  const reserved: Cidr[] = [];
  const nodes = new Map<string, string | undefined>();
  const endpoints = new Map<string, Set<string>>();
  let config: IpamConfig | undefined;
  for (const { key: path, value } of items) {
    const key = parseKey(path);
    if (key?.kind === 'block') {
      const block = parseBlock(value);
      const owner = block.ok && hostOf(block.value);
      if (block.ok) blocks.push(block.value);
      if (owner) owners.add(owner);
    } else if (key?.kind === 'affinity' && key.owner === 'host') {
      owners.add(key.node);
      const affinity = parseAffinity(value);
      if (affinity.ok && isConfirmed(affinity.value)) confirmed.add(`${key.node} ${key.cidr}`);
    } else if (key?.kind === 'ipamConfig') {
      const stored = parseIpamConfig(value);
      if (stored.ok) config = stored.value;
    } else if (key?.kind === 'namespaced' && key.plural === 'workloadendpoints') {
      addEndpoint(endpoints, key.namespace, value);
    } else if (key?.kind === 'resource' && key.plural === 'nodes') {
      const node = parseResource<'Node', NodeSpec>('Node', value);
      const refs = (node.ok && node.value.spec.orchRefs) || [];
      nodes.set(key.name, refs.find(({ orchestrator }) => orchestrator === 'k8s')?.nodeName);
    } else if (key?.kind === 'resource' && key.plural === 'ippools') {
      const pool = parseResource<'IPPool', IpPoolSpec>('IPPool', value, checkIpPoolSpec);
      if (pool.ok) pools.push({ name: key.name, range: cidr(pool.value.spec.cidr) });
    } else if (key?.kind === 'resource' && key.plural === 'ipreservations') {
      reserved.push(...reservedBy(value));
    }
  }
  return {
    allocations: blocks.flatMap((block) => allocationsOf(block, poolOf(block, pools))),
    blocks: blocks.flatMap((block) => owned(block, confirmed, poolOf(block, pools))),
    pools: pools.map(({ name, range }) => ({
      name,
      range,
      size: sizeOf(range),
      reserved: coveredIn(range, reserved),
    })),
    owners,
    pods: cluster.pods,
    statefulSets: cluster.statefulSets,
    machines: cluster.machines ?? new Set(),
    keepsMachines: keepsMachines(config),
    kubernetesNodes: cluster.nodes,
    nodes,
    endpoints,
  };
}

function addEndpoint(endpoints: Map<string, Set<string>>, namespace: string, value: string): void {
  const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>('WorkloadEndpoint', value);
  if (!parsed.ok || parsed.value.spec.pod === undefined) return;
  const { pod, ipNetworks = [] } = parsed.value.spec;
  const known = endpoints.get(`${namespace}/${pod}`) ?? new Set();
  for (const network of ipNetworks) known.add(network.split('/')[0]!);
  endpoints.set(`${namespace}/${pod}`, known);
}

interface Named {
  readonly name: string;
  readonly range: Cidr;
}

const poolOf = ({ cidr }: IpamBlock, pools: readonly Named[]): string | undefined =>
  pools.find(({ range }) => containsCidr(range, cidr))?.name;

const hostOf = ({ affinity }: IpamBlock): string | undefined =>
  affinity?.startsWith(ownerOf('')) ? affinity.slice(ownerOf('').length) : undefined;

function reservedBy(value: string): readonly Cidr[] {
  const parsed = parseResource<'IPReservation', IpReservationSpec>(
    'IPReservation',
    value,
    checkIpReservationSpec,
  );
  const cidrs = (parsed.ok && parsed.value.spec.reservedCIDRs) || [];
  return cidrs.map((text) => cidr(text));
}

const allocationsOf = (block: IpamBlock, pool: string | undefined): readonly Allocation[] =>
  block.allocations.flatMap((index, ordinal) => {
    const attribute = index === null ? undefined : block.attributes[index];
    if (!attribute || isCooling(attribute)) return [];
    return [
      {
        ip: ipAt(block.cidr, ordinal),
        handle: handleOf(attribute),
        pool,
        owner: block.affinity?.replace(/^host:/, ''),
        sequenceNumber: block.sequenceNumberForAllocation[String(ordinal)],
        attributes: { ...attribute.secondary, ...(isKept(attribute) ? { keep: 'true' } : {}) },
      },
    ];
  });

function owned(
  block: IpamBlock,
  confirmed: ReadonlySet<string>,
  pool: string | undefined,
): readonly OwnedBlock[] {
  const node = hostOf(block);
  if (!node || !confirmed.has(`${node} ${block.cidr}`)) return [];
  return [
    {
      cidr: block.cidr,
      pool,
      node,
      sequenceNumber: block.sequenceNumber,
      size: block.allocations.length,
      used: block.allocations.filter((index) => index !== null).length,
    },
  ];
}
