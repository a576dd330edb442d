// One service's part of the tables.
import type { Rendered } from '../../../services/render/rules.ts';
import { type Chains, GrowingTable } from '../../../services/write/growing-table.ts';
import type { WantedTables } from '../../../services/write/writer.io.ts';

/** What a service adds to each table: rules of chains that are there without it, and its own chains. */
export interface Piece {
  readonly filter: Chains;
  readonly nat: Chains;
  /** Of all its ports, those that are not ready too. */
  readonly endpoints: number;
}

/** Ports whose traffic must stay on this node where nobody serves them, by the rule that drops it. */
export function withoutLocal(pieces: Iterable<Piece>, chain: string): number {
  let count = 0;
  for (const { filter } of pieces) {
    const words = (filter.get(chain) ?? []).map((rule) => /"(.*) has no local/.exec(rule)?.[1]);
    count += new Set(words.filter((word) => word !== undefined)).size;
  }
  return count;
}

/** Of the parts that a service's ports add. */
export function pieceOf(parts: readonly Rendered[], endpoints: number): Piece {
  const merged = { filter: new Map<string, string[]>(), nat: new Map<string, string[]>() };
  for (const part of parts)
    for (const table of ['filter', 'nat'] as const)
      for (const [name, rules] of part[table])
        merged[table].set(name, [...(merged[table].get(name) ?? []), ...rules]);
  return { ...merged, endpoints };
}

/** One family's tables with what all services add. */
export class RenderedTables {
  private readonly raw: WantedTables['raw'];
  private readonly filter: GrowingTable;
  private readonly nat: GrowingTable;
  private latest: WantedTables | undefined;
  /** What they were begun for. */
  readonly nodePortAddresses: string | undefined;

  constructor({ raw, filter, nat }: WantedTables, nodePortAddresses: string | undefined) {
    this.raw = raw;
    this.filter = new GrowingTable(filter);
    this.nat = new GrowingTable(nat);
    this.nodePortAddresses = nodePortAddresses;
  }

  replace(service: string, former: Piece | undefined, present: Piece | undefined): void {
    this.filter.replace(service, former?.filter, present?.filter);
    this.nat.replace(service, former?.nat, present?.nat);
  }

  /** As of now; the same value as long as nothing has changed. */
  wanted(): WantedTables {
    const [filter, nat] = [this.filter.wanted(), this.nat.wanted()];
    if (this.latest?.filter !== filter || this.latest.nat !== nat)
      this.latest = { ...(this.raw ? { raw: this.raw } : {}), filter, nat };
    return this.latest;
  }
}
