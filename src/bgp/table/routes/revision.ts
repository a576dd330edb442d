// The choices of a family made anew, a portion at a time, because what they hang on is another.
import type { Rib } from './rib.ts';

/** Prefixes that are looked at in one portion. */
const PORTION = 4096;

export class Revision {
  private readonly rib: Rib;
  private at = Number.POSITIVE_INFINITY;

  constructor(rib: Rib) {
    this.rib = rib;
  }

  /** From the first prefix on. */
  begin(): void {
    this.at = 0;
  }

  /** One portion; whether there was any. A path that is alone needs no choice. */
  some(): boolean {
    const { paths, prefixes } = this.rib;
    if (this.at >= prefixes.end) {
      this.at = Number.POSITIVE_INFINITY;
      return false;
    }
    const end = Math.min(this.at + PORTION, prefixes.end);
    for (; this.at < end; this.at++) {
      const head = paths.headOf(this.at);
      if (head >= 0 && paths.next(head) >= 0) this.rib.mark(this.at);
    }
    return true;
  }
}
