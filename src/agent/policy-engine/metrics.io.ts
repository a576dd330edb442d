// The policy engine's figures in Prometheus form, under Felix's names where Felix has them.
import { Counter, Gauge, Histogram, RecentSummary, type Registry } from '../../base/metrics.io.ts';
import type { IpSets, Tables } from '../../kernel/tables.ts';
import { definitionsOf } from '../../policy/active/in-use.ts';
import { bounded } from '../../policy/counters/totals.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import type { FlowCutter } from './conntrack.io.ts';
import type { PolicyCounters } from './counters.io.ts';
import type { DeniedLog } from './denied.io.ts';
import type { RoundObserver } from './round-observer.ts';

/** Policies with figures of their own; the others are one. */
const OWNERS_MAX = 500;
/** The tables are read for metrics at most so often. */
const COUNTERS_MILLISECONDS = 10_000;
/** Seconds. */
const LATENCIES = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Felix's resync states. */
const WAITING = 1;
const IN_SYNC = 3;

/** What an open engine is measured with. */
export interface MeasuredEngine {
  readonly engine: PolicyEngine;
  readonly counters: PolicyCounters;
  readonly denied: DeniedLog | undefined;
  readonly cutter: FlowCutter | undefined;
  /** Whether the datastore's watch is up. */
  readonly connected: () => boolean;
}

export interface CountedTables {
  readonly tables: Tables;
  readonly ipv6Tables: Tables | undefined;
}

export class PolicyMetrics {
  private readonly registry: Registry;
  private readonly calls: (name: string, help: string) => () => void;
  /** For the engine. */
  readonly observer: RoundObserver;

  constructor(registry: Registry) {
    this.registry = registry;
    const registers = [registry];
    this.calls = (name, help) => {
      const counter = new Counter({ name, help, registers });
      return () => counter.inc();
    };
    const apply = new RecentSummary({
      name: 'felix_int_dataplane_apply_time_seconds',
      help: 'Time to bring the tables and sets to what policy asks for',
      registers,
    });
    const calculated = new RecentSummary({
      name: 'felix_calc_graph_update_time_seconds',
      help: 'Time to take in changes of the datastore',
      registers,
    });
    const failed = this.calls(
      'felix_int_dataplane_failures',
      'Rounds that failed and are repeated',
    );
    const latency = new Histogram({
      name: 'calico_policy_programming_latency_seconds',
      help: 'From a change in the datastore, as it was seen, until the kernel holds what follows',
      labelNames: ['ip_version'],
      buckets: LATENCIES,
      registers,
    });
    this.observer = {
      calculated: (took) => calculated.observe(took / 1000),
      applied: (_family, took, commits) => {
        apply.observe(took / 1000);
        this.onApplied(commits);
      },
      failed,
      programmed: (family, took) => latency.observe({ ip_version: String(family) }, took / 1000),
    };
  }

  /** The same tables; transactions of all of them are counted together. */
  countTables(tables: Tables, ipv6Tables: Tables | undefined): CountedTables {
    const call = this.calls('felix_iptables_restore_calls', 'Transactions on tables');
    const error = this.calls('felix_iptables_restore_errors', 'Transactions that were refused');
    const count = (one: Tables): Tables => ({
      read: (table) => one.read(table),
      ...(one.readAll ? { readAll: () => one.readAll!() } : {}),
      generation: () => one.generation?.(),
      commit: (transaction) => counted(one.commit(transaction), call, error),
      close: () => one.close(),
    });
    return { tables: count(tables), ipv6Tables: ipv6Tables && count(ipv6Tables) };
  }

  countIpSets(ipSets: IpSets): IpSets {
    const call = this.calls('felix_ipset_calls', 'Transactions on IP sets');
    const error = this.calls('felix_ipset_errors', 'Transactions on IP sets that were refused');
    return {
      read: (prefix) => ipSets.read(prefix),
      ...(ipSets.sizes ? { sizes: (prefix) => ipSets.sizes!(prefix) } : {}),
      commit: (changes) => counted(ipSets.commit(changes), call, error),
      close: () => ipSets.close(),
    };
  }

  /** Told of each round too. */
  onApplied: (commits: number) => void = () => undefined;

  /** Registers what is read from the live state at each scrape. */
  measure({ engine, counters, denied, cutter, connected }: MeasuredEngine): void {
    const { facts } = engine;
    const activePolicies = () => new Set(facts.applied().flatMap(({ policies }) => policies)).size;
    this.gauge('felix_active_local_policies', 'Policies that apply here', activePolicies);
    this.gauge(
      'felix_active_local_selectors',
      'Selectors of rules that apply here',
      () => definitionsOf(facts.applied()).size,
    );
    this.gauge('felix_cluster_num_policies', 'Policies', () => facts.world.policies.size);
    this.gauge('felix_cluster_num_profiles', 'Profiles', () => facts.world.profiles.size);
    this.gauge('felix_cluster_num_hosts', 'Nodes', () => facts.world.nodes.size);
    this.gauge(
      'felix_cluster_num_workload_endpoints',
      'Workload endpoints of all nodes',
      () => facts.world.endpoints.size,
    );
    this.gauge('felix_resync_state', '1: waits for the datastore, 3: in sync', () =>
      connected() ? IN_SYNC : WAITING,
    );
    this.measureSizes(engine);
    this.measureGuards(engine);
    this.measureRules(counters);
    if (denied) this.measureDenied(denied);
    const help = 'Live connections that a change of policy denied';
    if (cutter) this.counter('calico_flows_cut_total', help, () => cutter.cut);
  }

  private gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  private measureSizes(engine: PolicyEngine): void {
    for (const what of ['chains', 'rules'] as const)
      new Gauge({
        name: `felix_iptables_${what}`,
        help: `${what} that belong to us`,
        labelNames: ['ip_version', 'table'],
        registers: [this.registry],
        collect() {
          for (const { family, table, [what]: figure } of engine.sizes())
            this.set({ ip_version: String(family), table }, figure);
        },
      });
  }

  private measureGuards(engine: PolicyEngine): void {
    const registers = [this.registry];
    const labelNames = ['ip_version'];
    new Gauge({
      name: 'calico_policy_guard',
      help: '1: the guard stands behind the rules',
      labelNames,
      registers,
      collect() {
        for (const { family, stands } of engine.guards())
          this.set({ ip_version: String(family) }, Number(stands));
      },
    });
    new Counter({
      name: 'calico_policy_guard_dropped_packets_total',
      help: 'Packets that the guard stopped, because no rule had accepted them',
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const { family, dropped } of engine.guards())
          this.inc({ ip_version: String(family) }, dropped);
      },
    });
  }

  private measureRules(counters: PolicyCounters): void {
    for (const what of ['packets', 'bytes'] as const)
      new Counter({
        name: `calico_policy_${what}_total`,
        help: `${what} that rules of a policy matched; of the end of a tier: that it dropped`,
        labelNames: ['tier', 'policy', 'direction', 'action'],
        registers: [this.registry],
        async collect() {
          const sums = bounded(await counters.perOwner(COUNTERS_MILLISECONDS), OWNERS_MAX);
          this.reset();
          for (const { tier, owner, direction, action, [what]: figure } of sums)
            this.inc({ tier, policy: owner, direction, action }, figure);
        },
      });
  }

  private measureDenied(denied: DeniedLog): void {
    this.counter('calico_denied_flows_logged_total', 'Lines in the log', () => denied.logged);
    const help = 'Denied packets that were too many for the log';
    this.counter('calico_denied_flows_suppressed_total', help, () => denied.suppressed);
  }

  private counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
}

async function counted(work: Promise<void>, call: () => void, error: () => void): Promise<void> {
  call();
  try {
    await work;
  } catch (cause) {
    error();
    throw cause;
  }
}
