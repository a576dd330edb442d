// What each rule of policy has matched: the whole filter table is read at once when somebody asks, and
// not again before some time has passed.

import type { TableCounts, TableName, Tables } from '../../kernel/tables.ts';
import type { Family } from '../../net/ip.ts';
import type { PolicyFacts } from '../../policy/calculate.ts';
import { endOf, ownersOf } from '../../policy/counters/owners.ts';
import { type Counted, type Reading, RuleTotals } from '../../policy/counters/totals.ts';
import type { Direction } from '../../policy/render/names.ts';
import { hashOf } from '../../policy/render/rule.ts';

export interface CounterReport {
  /** ISO 8601. */
  readonly at: string;
  readonly rules: readonly Counted[];
}

export interface PolicyCountersOptions {
  readonly facts: PolicyFacts;
  readonly tables: Tables;
  readonly ipv6Tables?: Tables | undefined;
  readonly now: () => Date;
}

export class PolicyCounters {
  private readonly options: PolicyCountersOptions;
  private readonly totals = new RuleTotals();
  private reading: Promise<void> | undefined;
  private readAt: number | undefined;

  constructor(options: PolicyCountersOptions) {
    this.options = options;
  }

  /** Every rule, not older than that many milliseconds. Throws OpError when nothing can be read. */
  async report(ageMilliseconds: number): Promise<CounterReport> {
    await this.read(ageMilliseconds);
    return { at: new Date(this.readAt ?? 0).toISOString(), rules: this.totals.perRule };
  }

  /** Sums by policy and action. */
  async perOwner(ageMilliseconds: number): Promise<readonly Counted[]> {
    await this.read(ageMilliseconds);
    return this.totals.perOwner;
  }

  // Who asks meanwhile waits for the same reading.
  private async read(ageMilliseconds: number): Promise<void> {
    const age = this.options.now().getTime() - (this.readAt ?? Number.NEGATIVE_INFINITY);
    if (age <= ageMilliseconds) return;
    this.reading ??= this.readAll().finally(() => {
      this.reading = undefined;
    });
    await this.reading;
  }

  private async readAll(): Promise<void> {
    const { facts, tables, ipv6Tables, now } = this.options;
    const isGuarded = facts.guarded().length > 0;
    const names: readonly TableName[] = isGuarded ? ['raw', 'mangle', 'filter'] : ['filter'];
    const readings: Reading[] = [];
    for (const [family, of] of [[4, tables] as const, [6, ipv6Tables] as const]) {
      if (family === 6 && !facts.needsIpv6) continue;
      for (const table of names) {
        const counts = await of?.counts?.(table);
        if (counts) readings.push(...readingsOf(facts, family, table, counts));
      }
    }
    this.totals.take(readings);
    this.readAt = now().getTime();
  }
}

const ENDS = /^cali-(tw|fw|th|fh|thfw|fhfw)-(.+)$/;
/** Ingress of a workload is what goes to it; of a host, what comes from its interface. */
const INGRESS = ['tw', 'fh', 'fhfw'];

function readingsOf(
  facts: PolicyFacts,
  family: Family,
  table: TableName,
  counts: TableCounts,
): readonly Reading[] {
  const owners = ownersOf(facts.applied(), facts.renderer(family), family);
  const names = facts.interfaces();
  const readings: Reading[] = [];
  for (const [chain, rules] of counts) {
    const [, kind, name = ''] = ENDS.exec(chain) ?? [];
    const direction: Direction = kind && INGRESS.includes(kind) ? 'ingress' : 'egress';
    for (const { text, packets, bytes } of rules) {
      const hash = hashOf(text);
      if (hash === undefined) continue;
      const found = kind
        ? endOf(text, names.get(name) ?? name, direction)
        : owners.get(`${chain} ${hash}`);
      if (found) readings.push({ family, table, chain, hash, packets, bytes, counts: found });
    }
  }
  return readings;
}
