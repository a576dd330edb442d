// What is read back next to see whether others have written to it. Where the kernel counts changes,
// all tables are read once somebody else has made one, and hardly ever before; where it does not, a
// table at a time, in turn.
import type { TableName } from '../../kernel/tables.ts';

/** The table that people flush most comes every second time. */
const TURNS: readonly TableName[] = ['filter', 'nat', 'filter', 'raw', 'filter', 'mangle'];
const ALL: readonly TableName[] = ['filter', 'nat', 'raw', 'mangle'];
/** Looks between two of these turns. */
const LOOKS_PER_TURN = 10;
/**
 * The kernel tells nobody of changes to ip sets: they are asked how many members they have, each
 * second where that is quickly done, else so seldom that it takes but a small part of the time.
 */
const LOOKS_PER_SIZES = { least: 2, most: 60 };
const SIZES_SHARE = 1 / 3000;
/**
 * And so often read back, member by member, since others may have put one in another's place: every 90 s, as
 * Felix does it, or so seldom that it takes but a small part of the time.
 */
const LOOKS_PER_SET_CHECK = { least: 180, most: 1200 };
const SET_CHECK_SHARE = 1 / 1000;
/** All tables, should a change have escaped the count. */
const LOOKS_PER_TABLE_CHECK = 1200;
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
  private looksPerSizes = LOOKS_PER_SIZES.least;
  private sizesAt = LOOKS_PER_SIZES.least;
  private looksPerSetCheck = LOOKS_PER_SET_CHECK.least;
  private setsAt = LOOKS_PER_SET_CHECK.least - 1;
  /** Of others' changes, when the tables were last read; and at which look that was. */
  private generation: number | undefined;
  private readAt = Number.NEGATIVE_INFINITY;

  /** All tables are about to be read for the first time: later changes are seen from here. */
  began(generation: number | undefined): void {
    this.generation ??= generation;
  }

  /** To ask for the sizes took so long, in times between two looks. */
  sizesTook(looks: number): void {
    const { least, most } = LOOKS_PER_SIZES;
    this.looksPerSizes = Math.min(most, Math.max(least, Math.ceil(looks / SIZES_SHARE)));
    this.sizesAt = this.looks + this.looksPerSizes;
  }

  /** To read the sets back took so long, in times between two looks. */
  setsTook(looks: number): void {
    const { least, most } = LOOKS_PER_SET_CHECK;
    this.looksPerSetCheck = Math.min(most, Math.max(least, Math.ceil(looks / SET_CHECK_SHARE)));
    this.setsAt = this.looks + this.looksPerSetCheck;
  }

  /** What has to be read at this look; `generation` as Tables tells it. */
  due(generation: number | undefined): Check {
    const look = this.looks++;
    const withSets = look >= this.setsAt;
    if (withSets) this.setsAt = look + this.looksPerSetCheck;
    const isOverdue = (look + 1) % LOOKS_PER_TABLE_CHECK === 0;
    const withSizes = !withSets && look >= this.sizesAt;
    if (withSizes || withSets) this.sizesAt = look + this.looksPerSizes;
    if (generation === undefined) {
      const isTurn = look % LOOKS_PER_TURN === 0;
      return { tables: isTurn ? [TURNS[this.turns++ % TURNS.length]!] : [], withSets, withSizes };
    }
    const isChanged = generation !== this.generation;
    if (!isOverdue && (!isChanged || look - this.readAt < LOOKS_BETWEEN_READINGS))
      return { tables: [], withSets, withSizes };
    this.generation = generation;
    this.readAt = look;
    return { tables: ALL, withSets, withSizes };
  }
}

/** What forgets what it knows of the kernel, so that it reads it back. */
interface Doubting {
  doubtTable(table: TableName): void;
  doubtSets(): void;
}

/** What is to be read back as soon as that can be. */
export class DueReadings {
  private readonly tables = new Set<TableName>();
  private withSets = false;
  private readsSets = false;

  add({ tables, withSets }: Pick<Check, 'tables' | 'withSets'>): void {
    for (const table of tables) this.tables.add(table);
    this.withSets ||= withSets;
  }

  get isAny(): boolean {
    return this.tables.size > 0 || this.withSets;
  }

  /** The next round reads all of it. */
  begin(writer: Doubting): void {
    for (const table of this.tables) writer.doubtTable(table);
    if (this.withSets) writer.doubtSets();
    this.readsSets ||= this.withSets;
    this.tables.clear();
    this.withSets = false;
  }

  /** The round is over: whether sets were read in it. */
  endsSets(): boolean {
    const { readsSets } = this;
    this.readsSets = false;
    return readsSets;
  }
}
