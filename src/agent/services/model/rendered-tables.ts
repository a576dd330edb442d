// One family's tables with what all services add.
import type { Rendered } from '../../../services/render/rules.ts';
import { GrowingTable } from '../../../services/write/growing-table.ts';
import type { WantedTables } from '../../../services/write/writer.io.ts';

export class RenderedTables {
  private raw: WantedTables['raw'];
  private filter: GrowingTable;
  private nat: GrowingTable;
  private latest: WantedTables | undefined;

  constructor({ raw, filter, nat }: WantedTables) {
    this.raw = raw;
    this.filter = new GrowingTable(filter);
    this.nat = new GrowingTable(nat);
  }

  /** What there is without services is another now. */
  begin({ raw, filter, nat }: WantedTables): void {
    this.raw = raw;
    this.filter = new GrowingTable(filter, this.filter);
    this.nat = new GrowingTable(nat, this.nat);
  }

  /** What a service's ports add now; nothing: it is gone. */
  replace(service: string, ports: readonly Rendered[]): void {
    this.filter.replace(service, merged(ports, 'filter'));
    this.nat.replace(service, merged(ports, 'nat'));
  }

  /** As of now; the same value as long as nothing has changed. */
  wanted(): WantedTables {
    const [filter, nat] = [this.filter.wanted(), this.nat.wanted()];
    if (this.latest?.filter !== filter || this.latest.nat !== nat)
      this.latest = { ...(this.raw ? { raw: this.raw } : {}), filter, nat };
    return this.latest;
  }

  /** Ports whose traffic must stay on this node where nobody serves them, by the rule that drops it. */
  withoutLocal(chain: string): number {
    let count = 0;
    for (const rules of this.filter.rulesOf(chain)) {
      const words = rules.map((rule) => /"(.*) has no local/.exec(rule)?.[1]);
      count += new Set(words.filter((word) => word !== undefined)).size;
    }
    return count;
  }
}

function merged(ports: readonly Rendered[], table: keyof Rendered): Rendered[keyof Rendered] {
  const [only, ...others] = ports;
  if (only && others.length === 0) return only[table];
  const all = new Map<string, string[]>();
  for (const part of ports)
    for (const [name, rules] of part[table]) all.set(name, [...(all.get(name) ?? []), ...rules]);
  return all;
}
