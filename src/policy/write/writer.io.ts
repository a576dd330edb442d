// Writes desired policy into the kernel: sets first, then one transaction a table, then what is no
// longer used. Keeps in mind what the kernel holds and reads it back only when in doubt.
import { OpError } from '../../base/op-error.ts';
import { afterSlice, isSliceOver, nextTurn } from '../../base/pause.io.ts';
import type { IpSetChange, IpSets, TableName, Tables } from '../../kernel/tables.ts';
import type { Family } from '../../net/ip.ts';
import { type Additions, type Desired, type DesiredTable, NOTHING, TABLES } from '../desired.ts';
import { setPrefixes } from '../render/names.ts';
import { planAdditions } from './additions.ts';
import {
  type KnownSets,
  type KnownTable,
  knownSets,
  knownTable,
  planSets,
  planTable,
  setsAfter,
  type TablePlan,
} from './plan.ts';

export interface TableSize {
  readonly table: TableName;
  readonly chains: number;
  readonly rules: number;
}

/** Some milliseconds' work for the command that takes them. */
const SET_CHANGES_AT_ONCE = 5000;

export class PolicyWriter {
  private readonly tables: Tables;
  private readonly ipSets: IpSets;
  private readonly family: Family;
  private readonly prefixes: readonly string[];
  private readonly knownTables = new Map<TableName, KnownTable>();
  /** What was asked for when the table became what is known. */
  private readonly written = new Map<TableName, DesiredTable>();
  private known: KnownSets | undefined;
  private unused: readonly string[] = [];

  /** Sets of the family that begin like ours are ours; others are never touched. */
  constructor(tables: Tables, ipSets: IpSets, family: Family) {
    this.tables = tables;
    this.ipSets = ipSets;
    this.family = family;
    this.prefixes = setPrefixes(family);
  }

  /**
   * Makes the kernel hold `desired`; answers how many transactions that took. Throws OpError of
   * the first refusal after trying the other tables; what was refused is read back next time.
   */
  async apply(desired: Desired): Promise<number> {
    await this.readUnknown();
    return this.withSets(desired.ipSets, async () => {
      const refusals: unknown[] = [];
      let commits = 0;
      for (const table of TABLES) {
        const wanted = desired.tables.get(table)!;
        if (this.written.get(table) === wanted) continue;
        await afterSlice();
        try {
          commits += await this.commit(table, planTable(this.knownTables.get(table)!, wanted));
          this.written.set(table, wanted);
        } catch (cause) {
          refusals.push(cause);
        }
      }
      if (refusals.length > 0) throw refusals[0];
      return commits;
    });
  }

  /**
   * Adds what new endpoints need and leaves what is surplus for a later `apply`. Undefined when
   * what the kernel holds is not known: `apply` must go first.
   */
  async add(additions: Additions): Promise<number | undefined> {
    const known = this.knownTables.get('filter');
    const plan = known && this.known && planAdditions(known, additions);
    if (!plan) return undefined;
    return this.withSets(additions.ipSets, async () => {
      if (plan.lines.length > 0) this.written.delete('filter');
      return this.commit('filter', plan);
    });
  }

  /** How many chains of ours the kernel holds. */
  chainCount(): number {
    return [...this.knownTables.values()].reduce((sum, { chains }) => sum + chains.size, 0);
  }

  /** How many chains of ours, and rules in them, the kernel holds. */
  sizes(): readonly TableSize[] {
    return [...this.knownTables].map(([table, { chains }]) => ({
      table,
      chains: chains.size,
      rules: [...chains.values()].reduce((sum, { hashes }) => sum + hashes.length, 0),
    }));
  }

  private async commit(table: TableName, { lines, after }: TablePlan): Promise<0 | 1> {
    try {
      if (lines.length > 0) await this.tables.commit({ table, lines });
      this.knownTables.set(table, after);
      return lines.length > 0 ? 1 : 0;
    } catch (cause) {
      this.doubtTable(table);
      throw cause;
    }
  }

  // New sets and members before the rules that count on them, former members after.
  private async withSets(
    desired: Desired['ipSets'],
    commitTables: () => Promise<number>,
  ): Promise<number> {
    const sets = planSets(this.known!, desired);
    let commits: number = await this.commitSets(sets.before);
    try {
      commits += await commitTables();
    } catch (cause) {
      this.known = undefined;
      throw cause;
    }
    commits += await this.commitSets(sets.after);
    this.known = setsAfter(this.known ?? new Map(), desired);
    this.unused = sets.unused;
    return commits;
  }

  /**
   * Destroys the sets that the last apply left unused; answers how many are still there. The
   * kernel lets go of a set some time after the last rule that named it, so this is for later,
   * and a refusal is no failure.
   */
  async destroyUnused(): Promise<number> {
    const left: string[] = [];
    for (const name of this.unused) {
      try {
        await this.ipSets.commit([{ kind: 'destroy', name }]);
      } catch {
        left.push(name);
      }
    }
    const gone = this.unused.filter((name) => !left.includes(name));
    this.known = this.known && new Map([...this.known].filter(([name]) => !gone.includes(name)));
    this.unused = left;
    return left.length;
  }

  /** Whether our sets have as many members as they should; undefined: that is not known. */
  async setsAreAsLarge(): Promise<boolean | undefined> {
    const before = this.known;
    if (!before || !this.ipSets.sizes) return undefined;
    if (before.size === 0) return true;
    const sizes = await this.ipSets.sizes(`cali${this.family}`);
    if (this.known !== before) return undefined;
    return [...before].every(([name, { members }]) => sizes.get(name) === members.size);
  }

  /** The next apply reads the table back: others may have written to it. */
  doubtTable(table: TableName): void {
    this.knownTables.delete(table);
    this.written.delete(table);
  }

  doubtSets(): void {
    this.known = undefined;
  }

  private async readUnknown(): Promise<void> {
    const unknown = TABLES.filter((table) => !this.knownTables.has(table));
    const all = unknown.length > 1 ? await this.tables.readAll?.() : undefined;
    for (const table of unknown) {
      const content = all ? all.get(table) : await this.tables.read(table);
      this.knownTables.set(table, knownTable(content ?? new Map()));
    }
    if (this.known) return;
    const sets = await this.ipSets.read(`cali${this.family}`);
    const ours = ({ name }: { name: string }) => this.prefixes.some((p) => name.startsWith(p));
    this.known = knownSets(sets.filter(ours));
  }

  // 1: there were some.
  private async commitSets(changes: Iterable<IpSetChange | undefined>): Promise<0 | 1> {
    const { ipSets } = this;
    let batch: IpSetChange[] = [];
    let isAny: 0 | 1 = 0;
    const commit = async (): Promise<void> => {
      if (batch.length === 0) return;
      isAny = 1;
      await ipSets.commit(batch);
      batch = [];
    };
    try {
      for (const change of changes) {
        if (change) batch.push(change);
        if (batch.length >= SET_CHANGES_AT_ONCE) await commit();
        if (isSliceOver()) await nextTurn();
      }
      await commit();
    } catch (cause) {
      this.known = undefined;
      throw cause;
    }
    return isAny;
  }
}

const DESTROY_TRIES_MAX = 20;
const DESTROY_PAUSE_MILLISECONDS = 100;

/**
 * Removes every chain, jump and set of one family that is ours; others' rules stay. Throws OpError if
 * it cannot.
 */
export async function cleanUp(tables: Tables, ipSets: IpSets, family: Family): Promise<void> {
  const writer = new PolicyWriter(tables, ipSets, family);
  await writer.apply(NOTHING);
  for (let tries = 0; (await writer.destroyUnused()) > 0; tries++) {
    if (tries === DESTROY_TRIES_MAX) throw new OpError('destroy ip sets', 'some are still in use');
    await new Promise((resolve) => setTimeout(resolve, DESTROY_PAUSE_MILLISECONDS));
  }
}
