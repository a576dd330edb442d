// Long work in pieces: a generator that pauses wherever others may have their turn.

/** Runs it to its end in one go. */
export function runWhole<T>(work: Generator<unknown, T>): T {
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value;
}
