// What a runtime does about a call that got no answer, and the chance that decides it.

/** Mulberry32: the same seed, the same numbers. */
export class Chance {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return this.next() * limit;
  }

  of<T>(choices: readonly [T, ...T[]]): T {
    return choices[Math.floor(this.below(choices.length))] ?? choices[0];
  }
}

/**
 * `again`: the call is repeated (ADD of the same container; DEL until it succeeds).
 * `undone`: DEL, as a runtime does after a failed ADD.
 * `forgotten`: the namespace goes and nobody calls again, as when the runtime ran out of time.
 */
export type Fate = 'again' | 'undone' | 'forgotten';
