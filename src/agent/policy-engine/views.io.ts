// What goes with a running policy engine: counters and denied packets as pages of the agent's health
// server, metrics, and the end of connections that a change denies.
import type { Log } from '../../base/log.io.ts';
import { openConnections } from '../../kernel/conntrack/conntrack.io.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { Tables } from '../../kernel/tables.ts';
import type { AgentSettings } from '../environment.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import { FlowCutter } from './conntrack.io.ts';
import { PolicyCounters } from './counters.io.ts';
import { DeniedLog, type DeniedReport } from './denied.io.ts';
import type { PolicyMetrics } from './metrics.io.ts';

export interface ViewsOptions {
  readonly engine: PolicyEngine;
  readonly metrics: PolicyMetrics;
  readonly tables: Tables;
  readonly ipv6Tables: Tables | undefined;
  readonly settings: Pick<AgentSettings, 'logDeniedFlows' | 'cutDeniedFlows'>;
  readonly kernel: Pick<Kernel, 'addresses'>;
  readonly connected: () => boolean;
  readonly log: Log;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  /** Switches to another network namespace than this process's own. */
  readonly within?: <T>(work: () => T) => T;
}

/** Answers by path; undefined: not yet. */
export type Pages = Readonly<Record<string, () => Promise<string | undefined>>>;

/** Who asks again within this time is told the same. */
const COUNTERS_MILLISECONDS = 500;
const NO_LOG: DeniedReport = { enabled: false, suppressed: 0, flows: [] };

const cutterOf = ({ engine, kernel, log, signal, within }: ViewsOptions): FlowCutter =>
  new FlowCutter({
    facts: engine.facts,
    isBehind: () => engine.isBehind,
    connections: openConnections(within),
    ownAddresses: () => new Set(kernel.addresses().map(({ ip }) => ip)),
    log,
    signal,
  });

export class PolicyViews {
  private opened:
    | {
        readonly engine: PolicyEngine;
        readonly counters: PolicyCounters;
        readonly denied: DeniedLog | undefined;
      }
    | undefined;

  /** From now on there is something to see. */
  open(options: ViewsOptions): void {
    const { engine, tables, ipv6Tables, now, metrics, connected, log, signal } = options;
    const { logDeniedFlows, cutDeniedFlows } = options.settings;
    const { facts } = engine;
    const counters = new PolicyCounters({ facts, tables, ipv6Tables, now });
    const { within = (work) => work() } = options;
    const listening = { facts, log, now, signal, within };
    const denied = logDeniedFlows ? new DeniedLog(listening) : undefined;
    const cutter = cutDeniedFlows ? cutterOf(options) : undefined;
    metrics.onApplied = (commits) => commits > 0 && cutter?.written();
    metrics.measure({ engine, counters, denied, cutter, connected });
    this.opened = { engine, counters, denied };
  }

  readonly pages: Pages = {
    '/policy/counters': async () =>
      this.opened && JSON.stringify(await this.opened.counters.report(COUNTERS_MILLISECONDS)),
    '/policy/guard': async () => this.opened && JSON.stringify(this.opened.engine.guards()),
    '/policy/denied': async () =>
      this.opened && JSON.stringify(this.opened.denied?.report ?? NO_LOG),
  };
}
