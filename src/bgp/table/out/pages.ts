// A long list of objects in pages: it grows, and is kept as it was, without being copied, which of a
// million takes longer than a slice of work may.
const BITS = 12;
const PAGE = 1 << BITS;

type Page<T> = (T | undefined)[];

export class Pages<T> {
  private readonly pages: Page<T>[] = [];
  /** Numbers of pages that somebody else keeps. */
  private readonly kept = new Set<number>();
  /** One more than the highest place that was ever set. */
  length = 0;

  get(at: number): T | undefined {
    return this.pages[at >> BITS]?.[at & (PAGE - 1)];
  }

  set(at: number, value: T | undefined): void {
    if (at >= this.length) this.length = at + 1;
    const number = at >> BITS;
    while (this.pages.length <= number) this.pages.push(new Array<T | undefined>(PAGE));
    if (this.kept.size > 0 && this.kept.delete(number))
      this.pages[number] = this.pages[number]!.slice();
    this.pages[number]![at & (PAGE - 1)] = value;
  }

  /** As it is now, whatever is set later. */
  snapshot(): Pick<Pages<T>, 'get' | 'length'> {
    const copy = new Pages<T>();
    for (const [number, page] of this.pages.entries()) {
      copy.pages.push(page);
      this.kept.add(number);
    }
    copy.length = this.length;
    return copy;
  }
}
