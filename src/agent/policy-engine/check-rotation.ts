// What is read back next to see whether others have written to it. Where the kernel counts changes,
// all tables are read once somebody else has made one, and hardly ever before; where it does not, a
// table at a time, in turn.
import type { TableName } from '../../kernel/tables.ts';

/** The table that people flush most comes every second time. */
const TURNS: readonly TableName[] = ['filter', 'nat', 'filter', 'raw', 'filter', 'mangle'];
const ALL: readonly TableName[] = ['filter', 'nat', 'raw', 'mangle'];
/** Looks between two of these turns. */
const LOOKS_PER_TURN = 10;
/** The kernel does not tell of changes to ip sets: so often they are asked how many members they have. */
const LOOKS_PER_SIZES = 60;
/** And so often read back; and all tables, should a change have escaped the count. */
const LOOKS_PER_SET_CHECK = 1200;
/** Who changes a table with every look costs us a reading with every second one. */
const LOOKS_BETWEEN_READINGS = 2;

export interface Check {
  readonly tables: readonly TableName[];
  readonly withSets: boolean;
  readonly withSizes: boolean;
}

export class CheckRotation {
  private looks = 0;
  private turns = 0;
  /** Of others' changes, when the tables were last read; and at which look that was. */
  private generation: number | undefined;
  private readAt = Number.NEGATIVE_INFINITY;

  /** All tables are about to be read for the first time: later changes are seen from here. */
  began(generation: number | undefined): void {
    this.generation ??= generation;
  }

  /** What has to be read at this look; `generation` as Tables tells it. */
  due(generation: number | undefined): Check {
    const look = this.looks++;
    const withSets = (look + 1) % LOOKS_PER_SET_CHECK === 0;
    const withSizes = !withSets && (look + 1) % LOOKS_PER_SIZES === 0;
    if (generation === undefined) {
      const isTurn = look % LOOKS_PER_TURN === 0;
      return { tables: isTurn ? [TURNS[this.turns++ % TURNS.length]!] : [], withSets, withSizes };
    }
    const isChanged = generation !== this.generation;
    if (!withSets && (!isChanged || look - this.readAt < LOOKS_BETWEEN_READINGS))
      return { tables: [], withSets, withSizes };
    this.generation = generation;
    this.readAt = look;
    return { tables: ALL, withSets, withSizes };
  }
}
