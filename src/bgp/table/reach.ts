// Whether next hops have a way: of several paths to a prefix, those whose next hop has none are not
// chosen (RFC 4271 section 9.1.2). A path that is alone stays the best, as in BIRD: a reflector passes
// routes on that it has no way for itself.
import type { Ip } from '../../net/ip.ts';

/** More next hops than this are not remembered. */
const REMEMBERED_MAX = 65_536;

export class Reach {
  private readonly ask: (nextHop: Ip) => boolean;
  private readonly known = new Map<Ip, boolean>();
  private forgot = false;

  constructor(ask: (nextHop: Ip) => boolean) {
    this.ask = ask;
  }

  /** Remembered: the decision asks it of each path that has rivals. */
  readonly hasWay = (nextHop: Ip): boolean => {
    const before = this.known.get(nextHop);
    if (before !== undefined) return before;
    if (this.known.size >= REMEMBERED_MAX) {
      this.known.clear();
      this.forgot = true;
    }
    const now = this.ask(nextHop);
    this.known.set(nextHop, now);
    return now;
  };

  /** Looks at all again; whether any is another than it was said to be, or may be. */
  lookAgain(): boolean {
    const { forgot } = this;
    this.forgot = false;
    let changed = forgot;
    for (const [nextHop, before] of this.known) {
      const now = this.ask(nextHop);
      if (now === before) continue;
      this.known.set(nextHop, now);
      changed = true;
    }
    return changed;
  }
}
