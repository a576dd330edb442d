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

/** When long work began in the turn under way; undefined: none was done in it yet. */
let sliceBegin: number | undefined;

/** Whether long work has had its slice, or so many milliseconds, of the turn under way. */
export function isSliceOver(milliseconds = SLICE_MILLISECONDS): boolean {
  const now = performance.now();
  if (sliceBegin !== undefined) return now >= sliceBegin + milliseconds;
  sliceBegin = now;
  setImmediate(() => {
    sliceBegin = undefined;
  });
  return false;
}

/** Resolves when others have had their turn. */
export const nextTurn = (): Promise<void> => immediate();

/** Resolves in a turn that nothing was done in yet: what `nextTurn` resolves in may have read much. */
export async function freshTurn(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

/** Lets others have their turn when long work has had its slice, or so many milliseconds, of this one. */
export async function afterSlice(milliseconds = SLICE_MILLISECONDS): Promise<void> {
  if (!isSliceOver(milliseconds)) return;
  await nextTurn();
  isSliceOver(); // what follows is long work too
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
