// Changed services are served ahead of their rules where these are dear to write: with ten thousand
// services the kernel looks at all of them for each transaction. What a round has written is served by
// its rules from then on.
import type { Log } from '../../base/log.io.ts';
import { messageOf } from '../../base/op-error.ts';
import type { Forward, Forwards, Tables } from '../../kernel/tables.ts';
import type { Family } from '../../net/ip.ts';

/** By `namespace/name`; none: it has to wait for its rules. */
export type ServedAhead = ReadonlyMap<string, readonly Forward[]>;

/** With so many rules of nat a transaction takes some milliseconds. */
const DEAR_RULES = 5000;

export interface AheadOptions {
  readonly model: { ahead?(family: Family): ServedAhead };
  readonly tables: Tables;
  readonly ipv6Tables: Tables | undefined;
  readonly log: Log;
  /** Absent: DEAR_RULES. */
  readonly dearRules?: number;
}

interface Served {
  readonly forwards: Forwards;
  readonly services: Map<string, readonly Forward[]>;
}

export class Ahead {
  private readonly options: AheadOptions;
  private readonly rulesOf: (family: Family) => number;
  private readonly families = new Map<Family, Served>();
  private timer: NodeJS.Timeout | undefined;

  /** `rulesOf`: so many rules of nat the kernel holds. */
  constructor(options: AheadOptions, rulesOf: (family: Family) => number) {
    this.options = options;
    this.rulesOf = rulesOf;
    const { tables, ipv6Tables } = options;
    for (const [family, of] of [[4, tables] as const, [6, ipv6Tables] as const]) {
      const forwards = of?.forwards?.();
      if (forwards) this.families.set(family, { forwards, services: new Map() });
    }
  }

  /** Serves what will have changed in so many milliseconds. */
  serveSoon(milliseconds: number): void {
    this.timer ??= setTimeout(() => this.serve(), milliseconds);
  }

  /** Serves what has changed. */
  serve(): void {
    this.forgetTimer();
    const { model, dearRules = DEAR_RULES } = this.options;
    for (const [family, served] of this.families)
      if (model.ahead && this.rulesOf(family) >= dearRules)
        this.change(family, served, model.ahead(family));
  }

  private change(family: Family, { services }: Served, changed: ServedAhead): void {
    let matters = false;
    for (const [service, forwards] of changed) {
      const was = services.delete(service);
      if (forwards.length > 0) services.set(service, forwards);
      matters ||= was || forwards.length > 0;
    }
    if (matters) this.write(family);
  }

  /** What a round that begins now will write. */
  now(family: Family): ServedAhead {
    return new Map(this.families.get(family)?.services);
  }

  /** The kernel holds the rules of these as they were then. */
  written(family: Family, then: ServedAhead): void {
    const services = this.families.get(family)?.services;
    for (const [service, forwards] of then)
      if (services?.get(service) === forwards) services.delete(service);
    if (then.size > 0) this.write(family);
  }

  close(): void {
    this.forgetTimer();
    for (const { forwards } of this.families.values()) forwards.close();
    this.families.clear();
  }

  private forgetTimer(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Where the kernel refuses it nothing is served ahead: rules follow anyway. */
  private write(family: Family): void {
    const served = this.families.get(family);
    if (!served) return;
    try {
      served.forwards.set([...served.services.values()].flat());
    } catch (cause) {
      const words = 'services are served with their rules, not ahead of them';
      this.options.log.warn({ cause: messageOf(cause) }, words);
      served.forwards.close();
      this.families.delete(family);
    }
  }
}
