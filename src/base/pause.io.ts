// Waiting, and work that lets others have their turn.
import { setImmediate } from 'node:timers/promises';

/** Waits, but not beyond the signal. */
export const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });

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
