// Where numbers stand by the hashes of what they stand for: open addressing. More slots are filled in
// portions beforehand, because to fill a million at once takes longer than a slice of work may.

const SLOTS_MIN = 8192;
/** So few are near the processor; to fill more than these at once takes milliseconds. */
const NEAR = 2 ** 16;
/** The next slots are so many times as many; they are begun when one in so many is taken. */
const WIDER = 4;
/** As many as find room in the processor's nearest memory. */
export const AHEAD = 512;

/** Of whom the slots hold the numbers. */
export interface Numbered {
  /** Numbers given so far; some of them may be free. */
  readonly end: number;
  isFree(id: number): boolean;
  hashOf(id: number): number;
}

export class Slots {
  /** Number + 1, 0 where there is none; at least every second one is empty. */
  table: Int32Array = new Int32Array(SLOTS_MIN);
  held = 0;
  /** Slots that are about to be asked for. */
  readonly ahead = new Int32Array(AHEAD);
  /** Numbers below this stand in the next slots too. */
  placed = 0;
  private wider: Int32Array | undefined;
  private readonly numbered: Numbered;
  /** Of no meaning; without it nothing would have been looked at. */
  private seen = 0;

  constructor(numbered: Numbered) {
    this.numbered = numbered;
  }

  /** Near enough not to be fetched beforehand. */
  get isNear(): boolean {
    return this.table.length <= NEAR;
  }

  /**
   * Fetches the first `count` slots of `ahead` from memory. Nothing else happens in this loop: so the
   * processor waits for many of them at once.
   */
  fetch(count: number, table: Int32Array = this.table): void {
    const { ahead } = this;
    let seen = 0;
    for (let i = 0; i < count; i++) seen ^= table[ahead[i]!]!;
    this.seen ^= seen;
  }

  /** Into an empty slot, which its hash leads to. */
  add(slot: number, id: number): void {
    this.table[slot] = id + 1;
    this.held += 1;
    if (id < this.placed) this.place(id);
    this.makeRoom(0);
  }

  remove(id: number): void {
    this.vacate(this.table, id);
    if (this.wider && id < this.placed) this.vacate(this.wider, id);
    this.held -= 1;
  }

  /** For so many more. */
  makeRoom(count: number): void {
    if ((this.held + count) * 2 <= this.table.length) return;
    this.wider ??= new Int32Array(Math.max(NEAR, this.table.length * WIDER));
    while (this.wider) this.widenSome();
  }

  /** So many slots at once, while there are few numbers to place. */
  widen(length: number): void {
    if (length <= this.table.length) return;
    [this.wider, this.placed] = [new Int32Array(length), 0];
    while (this.wider) this.widenSome();
  }

  /** Fills the next slots a portion further; answers whether there was anything to do. */
  widenSome(): boolean {
    if (!this.wider) {
      if (this.table.length < NEAR || this.held * WIDER < this.table.length) return false;
      this.wider = new Int32Array(this.table.length * WIDER);
    }
    const { wider, placed, numbered, ahead } = this;
    const mask = wider.length - 1;
    const count = Math.min(AHEAD, numbered.end - placed);
    for (let i = 0; i < count; i++) ahead[i] = numbered.hashOf(placed + i) & mask;
    this.fetch(count, wider);
    for (let id = placed; id < placed + count; id++) if (!numbered.isFree(id)) this.place(id);
    this.placed += count;
    if (this.placed < numbered.end) return true;
    this.table = wider;
    this.wider = undefined;
    this.placed = 0;
    return true;
  }

  /** Into the next slots. */
  place(id: number): void {
    const table = this.wider!;
    const mask = table.length - 1;
    let slot = this.numbered.hashOf(id) & mask;
    while (table[slot]! > 0) slot = (slot + 1) & mask;
    table[slot] = id + 1;
  }

  // Those behind a gap move up, so that a search may end at the first empty slot.
  private vacate(table: Int32Array, gone: number): void {
    const mask = table.length - 1;
    let gap = this.numbered.hashOf(gone) & mask;
    while (table[gap] !== gone + 1) gap = (gap + 1) & mask;
    for (let at = (gap + 1) & mask; table[at]! > 0; at = (at + 1) & mask) {
      const home = this.numbered.hashOf(table[at]! - 1) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      table[gap] = table[at]!;
      gap = at;
    }
    table[gap] = 0;
  }
}
