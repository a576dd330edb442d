// What is read back next to see whether others have written to it: a table at a time, in turn. While
// the kernel says that nobody has changed any table, what was read once is not read again.
import type { TableName } from '../../kernel/tables.ts';

/** The table that people flush most comes every second time. */
const CHECKS: readonly TableName[] = ['filter', 'nat', 'filter', 'raw', 'filter', 'mangle'];
/** Ip sets are read back every so many checks: the kernel does not tell of their changes. */
const CHECKS_PER_SET_CHECK = 18;

/** After so many checks every table has been read. */
export const ROUND = CHECKS.length;

export class CheckRotation {
  private count = 0;
  /** The tables' generation at the last check, and for how many checks it has been the same. */
  private generation: number | undefined;
  private quiet = 0;

  /** Whether the check that is due now can be left out; `generation` as Tables tells it. */
  isNeedless(generation: number | undefined): boolean {
    if (generation === undefined || generation !== this.generation) this.quiet = 0;
    this.generation = generation;
    if (this.quiet++ < ROUND) return false;
    if ((this.count + 1) % CHECKS_PER_SET_CHECK === 0) return false;
    this.count++;
    return true;
  }

  /** What the next check reads. */
  next(): { readonly table: TableName; readonly withSets: boolean } {
    const table = CHECKS[this.count % ROUND]!;
    return { table, withSets: ++this.count % CHECKS_PER_SET_CHECK === 0 };
  }
}
