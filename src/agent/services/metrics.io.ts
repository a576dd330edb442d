// The service proxy's figures under kube-proxy's names (pkg/proxy/metrics), and ours where it has none.
import { Counter, Gauge, Histogram, type Registry } from '../../base/metrics.io.ts';
import type { Family } from '../../net/ip.ts';
import type { ServiceEngine, ServiceObserver, SyncRound } from './engine.io.ts';

/** kube-proxy's: 1 ms, and each twice the one before. */
const SYNC_SECONDS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const labelOf = (family: Family) => ({ ip_family: `IPv${family}` });

export class ServiceMetrics {
  private readonly registers: Registry[];
  readonly observer: ServiceObserver;

  constructor(registry: Registry) {
    this.registers = [registry];
    const [all, full, partial] = ['', 'full_', 'partial_'].map((which) =>
      this.histogram(
        `kubeproxy_sync_${which}proxy_rules_duration_seconds`,
        `Time of a ${which.replace('_', ' ')}sync of services' rules`,
        SYNC_SECONDS,
      ),
    );
    const latency = this.histogram(
      'calico_services_programming_latency_seconds',
      'From a change of a Service or EndpointSlice, as it was seen, until the kernel holds it',
      LATENCY_SECONDS,
    );
    const last = new Gauge({
      name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds',
      help: 'When rules of services were last in sync',
      labelNames: ['ip_family'],
      registers: this.registers,
    });
    const failures = this.failures('iptables_restore_failures_total', 'Refused transactions');
    const partialFailures = this.failures(
      'iptables_partial_restore_failures_total',
      'Refused transactions that were not the whole; the whole follows',
    );
    this.observer = {
      synced: (family, { isFull, took, latency: waited, commits }: SyncRound) => {
        const label = labelOf(family);
        for (const one of [all!, isFull ? full! : partial!]) one.observe(label, took / 1000);
        last.setToCurrentTime(label);
        if (waited !== undefined && commits > 0) latency.observe(label, waited / 1000);
      },
      failed: (family, isFull) => {
        failures.inc(labelOf(family));
        if (!isFull) partialFailures.inc(labelOf(family));
      },
    };
  }

  /** Registers what is read from the engine at each scrape. */
  measure(engine: ServiceEngine): void {
    const gauge = (
      what: string,
      help: string,
      figure: 'rules' | 'lastLines',
    ): Gauge<'table' | 'ip_family'> =>
      new Gauge({
        name: `kubeproxy_sync_proxy_rules_${what}`,
        help,
        labelNames: ['table', 'ip_family'],
        registers: this.registers,
        collect() {
          for (const size of engine.sizes())
            this.set({ table: size.table, ...labelOf(size.family) }, size[figure]);
        },
      });
    gauge('iptables_total', 'Rules of services', 'rules');
    gauge('iptables_last', 'Lines of the last transaction', 'lastLines');
  }

  private histogram(name: string, help: string, buckets: number[]): Histogram<'ip_family'> {
    return new Histogram({
      name,
      help,
      buckets,
      labelNames: ['ip_family'],
      registers: this.registers,
    });
  }

  private failures(name: string, help: string): Counter<'ip_family'> {
    return new Counter({
      name: `kubeproxy_sync_proxy_rules_${name}`,
      help,
      labelNames: ['ip_family'],
      registers: this.registers,
    });
  }
}
