// Prefixes that a peer may know otherwise than its group, with the path identifiers it may know. In pages,
// because a large map grows all at once, and longer than a slice may take.

type Ids = readonly number[];

const PAGE_BITS = 12;

export class Missed {
  private readonly pages = new Map<number, Map<number, Ids>>();

  get isEmpty(): boolean {
    return this.pages.size === 0;
  }

  /** Beside what was noted of the prefix before. */
  add(prefix: number, known: Ids): void {
    const number = prefix >> PAGE_BITS;
    let page = this.pages.get(number);
    if (!page) {
      page = new Map();
      this.pages.set(number, page);
    }
    const before = page.get(prefix);
    if (!before || before.length === 0) page.set(prefix, known);
    else if (known.some((id) => !before.includes(id)))
      page.set(prefix, [...new Set([...before, ...known])]);
  }

  /** Takes up to `count` of them out, those of a page together. */
  *take(count: number): Generator<readonly [prefix: number, known: Ids]> {
    let left = count;
    for (const [number, page] of this.pages)
      for (const entry of page) {
        if (left-- === 0) return;
        page.delete(entry[0]);
        if (page.size === 0) this.pages.delete(number);
        yield entry;
      }
  }

  *[Symbol.iterator](): Generator<readonly [prefix: number, known: Ids]> {
    for (const page of this.pages.values()) yield* page;
  }
}
