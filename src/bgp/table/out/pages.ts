// A long list of objects in pages: it grows without being copied, which of a million takes longer
// than a slice of work may.
const BITS = 12;
const PAGE = 1 << BITS;

export class Pages<T> {
  private readonly pages: (T | undefined)[][] = [];
  /** One more than the highest place that was ever set. */
  length = 0;

  get(at: number): T | undefined {
    return this.pages[at >> BITS]?.[at & (PAGE - 1)];
  }

  set(at: number, value: T | undefined): void {
    if (at >= this.length) this.length = at + 1;
    const page = at >> BITS;
    while (this.pages.length <= page) this.pages.push(new Array<T | undefined>(PAGE));
    this.pages[page]![at & (PAGE - 1)] = value;
  }
}
