// Waiting, and work that lets others have their turn.
import { setImmediate as immediate } from 'node:timers/promises';

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

/** Long work takes so much of a turn of the event loop, whoever does it. */
const SLICE_MILLISECONDS = 5;

/** When long work shall leave the turn under way to others; undefined: none was done in it yet. */
let sliceEnd: number | undefined;

/** Whether long work has had its slice of the turn under way. */
export function isSliceOver(): boolean {
  const now = performance.now();
  if (sliceEnd !== undefined) return now >= sliceEnd;
  sliceEnd = now + SLICE_MILLISECONDS;
  setImmediate(() => {
    sliceEnd = undefined;
  });
  return false;
}

/** Resolves when others have had their turn. */
export const nextTurn = (): Promise<void> => immediate();

/** Lets others have their turn when long work has had its slice of this one. */
export async function afterSlice(): Promise<void> {
  if (isSliceOver()) await nextTurn();
}

/** Runs the work to its end; what fits into the slice is done when this returns. */
export async function inSlices<T>(work: Iterator<unknown, T>): Promise<T> {
  isSliceOver(); // the slice begins with the work
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (isSliceOver()) await nextTurn();
  }
}
