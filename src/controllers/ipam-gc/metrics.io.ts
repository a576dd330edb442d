// How address management stands in the cluster, under Calico's names.
import { Counter, Gauge, type Registry } from '../../base/metrics.io.ts';
import type { Facts } from './facts.ts';

export interface IpamMetrics {
  seen(facts: Facts, candidates: number): void;
  reclaimed(count: number): void;
}

export function measureIpam(registry: Registry): IpamMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: readonly string[] = ['node']) =>
    new Gauge({ name, help, labelNames, registers });
  const inUse = gauge('ipam_allocations_in_use', 'Addresses of a node');
  const borrowed = gauge('ipam_allocations_borrowed', "Addresses in other nodes' blocks");
  const blocks = gauge('ipam_blocks', 'Blocks of a node', ['ippool', 'node']);
  const candidates = gauge('ipam_allocations_gc_candidates', 'Addresses that seem unused', []);
  const reclaimed = new Counter({
    name: 'ipam_allocations_gc_reclamations',
    help: 'Addresses freed because nobody used them',
    registers,
  });
  return {
    reclaimed: (count) => reclaimed.inc(count),
    seen: (facts, count) => {
      for (const each of [inUse, borrowed, blocks]) each.reset();
      candidates.set(count);
      for (const { pool = 'no_ippool', node } of facts.blocks) blocks.inc({ ippool: pool, node });
      for (const { attributes, owner } of facts.allocations) {
        const { node } = attributes;
        if (node === undefined) continue;
        inUse.inc({ node });
        if (owner !== node) borrowed.inc({ node });
      }
    },
  };
}
