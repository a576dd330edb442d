// Long work as a generator that pauses wherever others may have their turn (base/pause.io.ts), for those who
// need it done now.

/** Runs it to its end. */
export function runWhole<T>(work: Iterator<unknown, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
