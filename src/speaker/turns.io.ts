// What arrives faster than it can be done, in slices: between two of them timers and sockets have
// their turn, so that keepalives leave in time whatever one peer or many have to say at once.
import type { Clock } from '../base/clock.ts';

/** Does a portion of a millisecond or so; answers whether more is left. */
export type Portion = () => boolean;

const SLICE_MS = 5;

/** Does all of it, each portion in a turn of its own. */
export async function inTurns(portions: Iterable<void>): Promise<void> {
  for (const _ of portions) await new Promise(setImmediate);
}

export class Turns {
  private readonly clock: Clock;
  private readonly waiting = new Set<Portion>();
  private immediate: NodeJS.Immediate | undefined;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Asks for a turn, behind those who wait already. */
  ask(portion: Portion): void {
    this.waiting.add(portion);
    this.immediate ??= setImmediate(() => this.work());
  }

  /** Whether it waits for its turn. */
  waits(portion: Portion): boolean {
    return this.waiting.has(portion);
  }

  /** It needs no turn any more. */
  leave(portion: Portion): void {
    this.waiting.delete(portion);
  }

  private work(): void {
    this.immediate = undefined;
    const end = this.clock.now() + SLICE_MS;
    for (const portion of this.waiting) {
      this.waiting.delete(portion);
      if (portion()) this.waiting.add(portion);
      if (this.clock.now() >= end) break;
    }
    if (this.waiting.size > 0) this.immediate = setImmediate(() => this.work());
  }
}
