// Long work in pieces, so that nobody else waits for longer than a piece.
import { setImmediate } from 'node:timers/promises';

/** At most so long between two turns of the event loop. */
export const SLICE_MILLISECONDS = 5;

/** Runs the work to its end; what takes one slice is done when this returns. */
export async function inSlices<T>(work: Iterator<unknown, T>): Promise<T> {
  for (let end = performance.now() + SLICE_MILLISECONDS; ; ) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() < end) continue;
    await setImmediate();
    end = performance.now() + SLICE_MILLISECONDS;
  }
}
