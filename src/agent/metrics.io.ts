// The agent's figures in Prometheus form, under Felix's names where Felix has them.
import { Gauge, type Registry } from '../base/metrics.io.ts';
import type { Allocator } from '../ipam/allocator.io.ts';
import type { PolicyEngine } from './policy-engine.io.ts';
import type { DatastoreView } from './view.ts';

export interface Measured {
  readonly view: DatastoreView;
  readonly allocator: Allocator;
  readonly policy: PolicyEngine;
}

/** Registers gauges that read the live state when they are scraped. */
export function measureAgent(registry: Registry, { view, allocator, policy }: Measured): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge(
    'felix_active_local_endpoints',
    'Workload endpoints on this node',
    () => view.endpoints.length,
  );
  gauge('felix_ipsets_calico', 'IP sets that belong to us', () => policy.state().ipSets);
  gauge(
    'ipam_allocations_in_use',
    'Addresses allocated in own blocks',
    () => allocator.handles().size,
  );
}
