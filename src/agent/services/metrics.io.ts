// The service proxy's figures under kube-proxy's names (pkg/proxy/metrics), and ours where it has none.
import { Counter, Gauge, Histogram, type Registry } from '../../base/metrics.io.ts';
import type { Family } from '../../net/ip.ts';
import type { ServiceEngine, ServiceObserver, SyncRound } from './engine.io.ts';
import type { ServiceFacts } from './model/model.ts';

/** kube-proxy's: 1 ms, and each twice the one before. */
const SYNC_SECONDS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
const LATENCY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const every = (from: number, step: number, length: number): readonly number[] =>
  Array.from({ length }, (_, i) => from + step * i);
/** kube-proxy's of network_programming_duration_seconds. */
const PROGRAMMING_SECONDS = [
  ...every(0.25, 0.25, 2),
  ...every(1, 1, 59),
  ...every(60, 5, 12),
  ...every(120, 30, 7),
];
const SYNC = 'sync_proxy_rules_';

const labelOf = (family: Family) => ({ ip_family: `IPv${family}` });

/** What is asked when somebody scrapes. */
export interface Measured {
  readonly engine: Pick<ServiceEngine, 'sizes' | 'changes'>;
  readonly model: ServiceFacts;
  readonly families: readonly Family[];
  /** Packets of some rules, since these were written; undefined: they cannot be read. */
  readonly dropped: () => Promise<DroppedAndAccepted | undefined>;
}

export interface DroppedAndAccepted {
  /** What conntrack called invalid. */
  readonly invalidDropped: number;
  /** Calls of node ports on loopback addresses; absent where these are not served. */
  readonly localhostAccepted?: number;
}

export class ServiceMetrics {
  private readonly registers: Registry[];
  readonly observer: ServiceObserver;
  /** A look for stale flows took so long, in milliseconds, and ended so many. */
  readonly purged: (took: number, flows: number) => void;
  /** A question for this node's health was answered. */
  readonly answered: (path: 'healthz' | 'livez', code: number) => void;

  constructor(registry: Registry) {
    this.registers = [registry];
    this.observer = this.observeRounds();
    const purge = this.histogram(
      'conntrack_reconciler_sync_duration_seconds',
      'Time of a look for stale UDP flows',
      SYNC_SECONDS,
    );
    const ended = this.counter(
      'conntrack_reconciler_deleted_entries_total',
      'Stale UDP flows ended',
    );
    this.purged = (took, flows) => {
      purge.observe({}, took / 1000);
      ended.inc(flows);
    };
    const [healthz, livez] = ['healthz', 'livez'].map((path) =>
      this.counter(`proxy_${path}_total`, `Answers of /${path}`, 'code'),
    );
    this.answered = (path, code) => (path === 'healthz' ? healthz! : livez!).inc({ code });
  }

  private observeRounds(): ServiceObserver {
    const [all, full, partial] = ['', 'full_', 'partial_'].map((which) =>
      this.histogram(
        `sync_${which}proxy_rules_duration_seconds`,
        `Time of a ${which.replace('_', ' ')}sync of services' rules`,
        SYNC_SECONDS,
        'ip_family',
      ),
    );
    const latency = new Histogram({
      name: 'calico_services_programming_latency_seconds',
      help: 'From a change of a Service or EndpointSlice, as it was seen, until the kernel holds it',
      buckets: LATENCY_SECONDS,
      labelNames: ['ip_family'],
      registers: this.registers,
    });
    const programming = this.histogram(
      'network_programming_duration_seconds',
      'From what an EndpointSlice tells of, by the clock of its controller, until the kernel holds it',
      [...PROGRAMMING_SECONDS],
      'ip_family',
    );
    const last = this.gauge(
      `${SYNC}last_timestamp_seconds`,
      'When rules of services were last in sync',
      'ip_family',
    );
    const failures = this.counter(
      `${SYNC}iptables_restore_failures_total`,
      'Refused transactions',
      'ip_family',
    );
    const partialFailures = this.counter(
      `${SYNC}iptables_partial_restore_failures_total`,
      'Refused transactions that were not the whole; the whole follows',
      'ip_family',
    );
    return {
      synced: (family, { isFull, took, latency: waited, commits, changes }: SyncRound) => {
        const label = labelOf(family);
        for (const one of [all!, isFull ? full! : partial!]) one.observe(label, took / 1000);
        last.setToCurrentTime(label);
        if (waited !== undefined && commits > 0) latency.observe(label, waited / 1000);
        for (const trigger of changes.triggers)
          if (trigger.family === family)
            programming.observe(label, (Date.now() - trigger.at) / 1000);
      },
      failed: (family, isFull) => {
        failures.inc(labelOf(family));
        if (!isFull) partialFailures.inc(labelOf(family));
      },
    };
  }

  /** Registers what is read at each scrape. */
  measure(measured: Measured): void {
    this.measureSizes(measured);
    this.measureChanges(measured);
    this.measureDropped(measured);
    const { model, families } = measured;
    this.collected(
      `${SYNC}no_local_endpoints_total`,
      'Ports of services whose traffic must stay on this node, where nobody serves them',
      ['traffic_policy', 'ip_family'],
      (set) => {
        for (const family of families)
          for (const [policy, count] of Object.entries(model.withoutLocalEndpoints(family)))
            set({ traffic_policy: policy, ...labelOf(family) }, count);
      },
    );
  }

  private measureSizes({ engine }: Measured): void {
    for (const [name, help, figure] of [
      ['iptables_total', 'Rules of services', 'rules'],
      ['iptables_last', 'Lines of the last transaction', 'lastLines'],
    ] as const)
      this.collected(`${SYNC}${name}`, help, ['table', 'ip_family'], (set) => {
        for (const size of engine.sizes())
          set({ table: size.table, ...labelOf(size.family) }, size[figure]);
      });
  }

  private measureChanges({ engine, families }: Measured): void {
    const { changes } = engine;
    this.collected(
      `${SYNC}last_queued_timestamp_seconds`,
      'When a change last came',
      ['ip_family'],
      (set) => {
        for (const family of families) set(labelOf(family), changes.lastAt / 1000);
      },
    );
    for (const [kind, words] of [
      ['services', 'service'],
      ['endpoints', 'endpoint'],
    ] as const) {
      this.collected(`${SYNC}${words}_changes_pending`, `Changes not written yet`, [], (set) =>
        set({}, changes.pending[kind]),
      );
      this.counted(`${SYNC}${words}_changes_total`, 'Changes that came', async () => {
        return changes.total[kind];
      });
    }
  }

  private measureDropped({ dropped }: Measured): void {
    this.counted(
      'iptables_ct_state_invalid_dropped_packets_total',
      'Packets dropped since conntrack called them invalid, by the rule’s own counter',
      async () => (await dropped())?.invalidDropped,
    );
    this.counted(
      'iptables_localhost_nodeports_accepted_packets_total',
      'Calls of node ports on loopback addresses, by the rules’ own counters',
      async () => (await dropped())?.localhostAccepted,
    );
  }

  private histogram(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: string[]
  ): Histogram<string> {
    const { registers } = this;
    return new Histogram({ name: `kubeproxy_${name}`, help, buckets, labelNames, registers });
  }

  private counter(name: string, help: string, ...labelNames: string[]): Counter<string> {
    const { registers } = this;
    return new Counter({ name: `kubeproxy_${name}`, help, labelNames, registers });
  }

  private gauge(name: string, help: string, ...labelNames: string[]): Gauge<string> {
    const { registers } = this;
    return new Gauge({ name: `kubeproxy_${name}`, help, labelNames, registers });
  }

  private collected(
    name: string,
    help: string,
    labelNames: readonly string[],
    collect: (set: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    const { registers } = this;
    new Gauge({
      name: `kubeproxy_${name}`,
      help,
      labelNames: [...labelNames],
      registers,
      collect() {
        this.reset();
        collect((labels, value) => this.set(labels, value));
      },
    });
  }

  /** A counter that somebody else keeps; undefined: it is not told. */
  private counted(name: string, help: string, read: () => Promise<number | undefined>): void {
    const { registers } = this;
    new Counter({
      name: `kubeproxy_${name}`,
      help,
      registers,
      async collect() {
        const value = await read();
        this.reset();
        if (value === undefined) this.remove();
        else this.inc(value);
      },
    });
  }
}
