// Writes one address family's service rules through a kept-open restore child: one transaction for
// each table that has to change. What it wrote last the kernel holds; in doubt it is read back.
import type { TableName, Tables } from '../../kernel/tables.ts';
import {
  CANARY,
  type KnownTable,
  knownTable,
  linesOf,
  planChanges,
  planRelease,
  planTable,
  sizeOf,
  sizeOfTable,
  type WantedTable,
} from './plan.ts';
import { stagesOf } from './stages.ts';

/** What the kernel shall hold. */
export interface WantedTables {
  /** Absent: nothing of ours has to be there. */
  readonly raw?: WantedTable;
  readonly filter: WantedTable;
  readonly nat: WantedTable;
}

/** Destinations of nat's entry must lead somewhere: filter is written first, as REJECT rules go. */
const WRITTEN = ['raw', 'filter', 'nat'] as const;
/** Where a former kube-proxy may have left something. */
const ALL: readonly TableName[] = ['raw', 'filter', 'nat', 'mangle'];

export interface Written {
  /** Transactions. */
  readonly commits: number;
  /** Lines of restore text. */
  readonly lines: number;
}

export interface ServiceTableSize {
  readonly table: TableName;
  readonly chains: number;
  readonly rules: number;
  /** Of the last transaction. */
  readonly lastLines: number;
}

export class ServiceWriter {
  private readonly tables: Tables;
  private readonly written = new Map<TableName, WantedTable>();
  private readonly lastLines = new Map<TableName, number>();
  private generation: number | undefined;
  /** A kube-proxy has made its chain again that we had removed. */
  canaryCameBack = false;
  private readonly canaryRemoved = new Set<TableName>();

  constructor(tables: Tables) {
    this.tables = tables;
  }

  /** Makes the kernel hold it. Throws OpError; what was refused is read back next time. */
  async apply(wanted: WantedTables): Promise<Written> {
    this.generation ??= this.tables.generation?.();
    let [commits, lines] = [0, 0];
    for (const table of WRITTEN) {
      const content = wanted[table];
      if (!content || this.written.get(table) === content) continue;
      const { plan, exists } = await this.plan(table, content);
      for (const stage of stagesOf(plan, exists, this.linesMax)) {
        await this.commit(table, stage);
        commits++;
      }
      this.written.set(table, content);
      this.canaryRemoved.add(table);
      const size = sizeOf(plan);
      if (size > 0) this.lastLines.set(table, size);
      lines += size;
    }
    return { commits, lines };
  }

  private async plan(table: TableName, content: WantedTable) {
    const { changes } = content;
    const held = this.written.get(table)?.version;
    if (changes && held && held === changes.from)
      return { plan: planChanges(content.inOrder ?? false, changes), exists: () => true };
    const known = await this.read(table);
    const exists = (chain: string): boolean => known.chains.has(chain);
    return { plan: planTable(known, content), exists };
  }

  private get linesMax(): number {
    return this.tables.linesMax ?? Number.POSITIVE_INFINITY;
  }

  /** Whether others have changed a table of this namespace since the last doubt; undefined: the
   *  kernel does not tell. */
  get othersWrote(): boolean | undefined {
    const now = this.tables.generation?.();
    return now === undefined ? undefined : now !== this.generation;
  }

  /** The next apply reads the tables back. */
  doubt(): void {
    this.generation = this.tables.generation?.();
    this.forget();
  }

  private forget(): void {
    this.written.clear();
  }

  /** Takes everything of services out of the kernel; answers how many lines that took. */
  async release(names = ALL): Promise<number> {
    let lines = 0;
    for (const table of names) {
      const plan = planRelease(await this.read(table));
      if (sizeOf(plan) > 0) await this.commit(table, linesOf(plan));
      lines += sizeOf(plan);
    }
    this.forget();
    return lines;
  }

  /** What the kernel holds of services, by table. */
  sizes(): readonly ServiceTableSize[] {
    return [...this.written].map(([table, wanted]) => ({
      table,
      ...sizeOfTable(wanted),
      lastLines: this.lastLines.get(table) ?? 0,
    }));
  }

  private async read(table: TableName): Promise<KnownTable> {
    const known = knownTable(await this.tables.read(table));
    if (known.chains.has(CANARY) && this.canaryRemoved.has(table)) this.canaryCameBack = true;
    return known;
  }

  private async commit(table: TableName, lines: readonly string[]): Promise<void> {
    try {
      await this.tables.commit({ table, lines });
    } catch (cause) {
      this.written.delete(table);
      throw cause;
    }
  }
}
