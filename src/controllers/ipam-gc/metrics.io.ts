// How address management stands in the cluster, under Calico's names. Those that end in `_per_node`
// are what Calico called them before it counted by pool.
import { Counter, Gauge, type Registry } from '../../base/metrics.io.ts';
import type { Allocation, Facts } from './facts.ts';

export interface IpamMetrics {
  seen(facts: Facts, candidates: readonly Allocation[]): void;
  reclaimed(allocations: readonly Allocation[]): void;
  /** So many breaks of invariant I6, by a release. */
  broken(count: number): void;
}

const BY_NODE = ['ippool', 'node'];
/** The label of what lies in no pool. */
const NO_POOL = 'no_ippool';

export function measureIpam(registry: Registry): IpamMetrics {
  const gauges = gaugesOf(registry);
  const { inUse, borrowed, candidate, blocks, size, reserved, free } = gauges;
  const reclaimed = new Counter({
    name: 'ipam_allocations_gc_reclamations',
    help: 'Addresses freed because nobody used them',
    labelNames: BY_NODE,
    registers: [registry],
  });
  const violations = new Counter({
    name: 'calico_ipam_invariant_violations',
    help: 'Invariants of address management that a release has broken',
    labelNames: ['invariant'],
    registers: [registry],
  });
  violations.inc({ invariant: 'I6' }, 0);
  return {
    broken: (count) => violations.inc({ invariant: 'I6' }, count),
    reclaimed: (allocations) => {
      for (const allocation of allocations) reclaimed.inc(labelsOf(allocation));
    },
    seen: ({ allocations, blocks: owned, pools }, candidates) => {
      for (const each of Object.values(gauges)) each.reset();
      const used = new Map(pools.map(({ name }) => [name, 0]));
      for (const allocation of allocations) {
        const labels = labelsOf(allocation);
        used.set(labels.ippool, (used.get(labels.ippool) ?? 0) + 1);
        inUse.inc(labels);
        gauges.inUsePerNode.inc({ node: labels.node });
        if (allocation.owner === labels.node) continue;
        borrowed.inc(labels);
        gauges.borrowedPerNode.inc({ node: labels.node });
      }
      for (const { pool = NO_POOL, node } of owned) {
        blocks.inc({ ippool: pool, node });
        gauges.blocksPerNode.inc({ node });
      }
      for (const allocation of candidates) candidate.inc(labelsOf(allocation));
      for (const pool of pools) {
        size.set({ ippool: pool.name }, Number(pool.size));
        reserved.set({ ippool: pool.name }, Number(pool.reserved));
        const left = Number(pool.size - pool.reserved) - used.get(pool.name)!;
        free.set({ ippool: pool.name }, Math.max(0, left));
      }
    },
  };
}

function gaugesOf(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: readonly string[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  return {
    inUse: gauge('ipam_allocations_in_use', 'Addresses of a node', BY_NODE),
    borrowed: gauge('ipam_allocations_borrowed', "Addresses in other nodes' blocks", BY_NODE),
    candidate: gauge('ipam_allocations_gc_candidates', 'Addresses that seem unused', BY_NODE),
    blocks: gauge('ipam_blocks', 'Blocks of a node', BY_NODE),
    inUsePerNode: gauge('ipam_allocations_per_node', 'Addresses of a node', ['node']),
    borrowedPerNode: gauge(
      'ipam_allocations_borrowed_per_node',
      "Addresses in other nodes' blocks",
      ['node'],
    ),
    blocksPerNode: gauge('ipam_blocks_per_node', 'Blocks of a node', ['node']),
    size: gauge('ipam_ippool_size', 'Addresses of a pool', ['ippool']),
    reserved: gauge('ipam_ippool_reserved', 'Reserved addresses of a pool', ['ippool']),
    free: gauge('ipam_ippool_free', 'Addresses of a pool that can be given out', ['ippool']),
  };
}

const labelsOf = ({ pool = NO_POOL, attributes }: Allocation) => ({
  ippool: pool,
  node: attributes['node'] ?? 'unknown_node',
});
