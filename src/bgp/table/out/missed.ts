// Prefixes that a peer may know otherwise than its group, with the path identifiers it may know. In pages,
// because a large map grows all at once, and longer than a slice may take.

import type { Entry } from './batch.ts';

type Ids = readonly number[];

/** What a group that the peer has left had told, and from where on it is yet to be looked at. */
interface Left {
  readonly told: {
    readonly length: number;
    get(prefix: number): Entry | readonly Entry[] | undefined;
  };
  /** Its own routes were never told it. */
  readonly peer: number;
  next: number;
}

const PAGE_BITS = 12;

export class Missed {
  private readonly pages = new Map<number, Map<number, Ids>>();
  private readonly groups: Left[] = [];

  get isEmpty(): boolean {
    return this.pages.size === 0 && this.groups.length === 0;
  }

  /** It may know all of this but for its own routes. */
  addAll(told: Left['told'], peer: number): void {
    if (told.length > 0) this.groups.push({ told, peer, next: 0 });
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
    for (let group = this.groups[0]; group && left > 0; left--) {
      const prefix = group.next++;
      const known = idsOf(group.told.get(prefix), group.peer);
      if (group.next >= group.told.length) {
        this.groups.shift();
        group = this.groups[0];
      }
      if (known.length > 0) yield [prefix, known];
    }
  }
}

function idsOf(present: Entry | readonly Entry[] | undefined, peer: number): Ids {
  if (present === undefined) return [];
  const entries = Array.isArray(present) ? (present as readonly Entry[]) : [present as Entry];
  return entries.filter(({ source }) => source !== peer).map(({ pathId }) => pathId);
}
