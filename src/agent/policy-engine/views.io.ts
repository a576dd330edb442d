// What there is to see of a running policy engine: counters, denied packets, figures; as pages of the
// agent's health server and as metrics.
import type { Log } from '../../base/log.io.ts';
import type { Tables } from '../../kernel/tables.ts';
import type { PolicyEngine } from '../policy-engine.io.ts';
import { PolicyCounters } from './counters.io.ts';
import { DeniedLog, type DeniedReport } from './denied.io.ts';
import type { PolicyMetrics } from './metrics.io.ts';

export interface ViewsOptions {
  readonly engine: PolicyEngine;
  readonly metrics: PolicyMetrics;
  readonly tables: Tables;
  readonly ipv6Tables: Tables | undefined;
  readonly logDeniedFlows: boolean;
  readonly connected: () => boolean;
  readonly log: Log;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** Answers by path; undefined: not yet. */
export type Pages = Readonly<Record<string, () => Promise<string | undefined>>>;

/** Who asks again within this time is told the same. */
const COUNTERS_MILLISECONDS = 500;
const NO_LOG: DeniedReport = { enabled: false, suppressed: 0, flows: [] };

export class PolicyViews {
  private opened:
    | { readonly counters: PolicyCounters; readonly denied: DeniedLog | undefined }
    | undefined;

  /** From now on there is something to see. */
  open(options: ViewsOptions): void {
    const { engine, tables, ipv6Tables, now, metrics, connected, log, signal } = options;
    const { facts } = engine;
    const counters = new PolicyCounters({ facts, tables, ipv6Tables, now });
    const denied = options.logDeniedFlows ? new DeniedLog({ facts, log, now, signal }) : undefined;
    metrics.measure({ engine, counters, denied, connected });
    this.opened = { counters, denied };
  }

  readonly pages: Pages = {
    '/policy/counters': async () =>
      this.opened && JSON.stringify(await this.opened.counters.report(COUNTERS_MILLISECONDS)),
    '/policy/denied': async () =>
      this.opened && JSON.stringify(this.opened.denied?.report ?? NO_LOG),
  };
}
