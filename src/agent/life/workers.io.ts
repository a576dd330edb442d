// The threads that V8 marks old objects and compiles with.
import { readdirSync, readFileSync } from 'node:fs';
import { setPriority } from 'node:os';

/** sched(7): beside another thread they get a tenth of the processor. */
const NICE = 10;

/**
 * V8's threads leave the processors to others from now on; a start is faster with them. Where there
 * are two, an ADD would wait for what only makes later ones faster: with 16 at a time the slowest
 * then take a quarter longer.
 */
export function keepWorkersBehind(): void {
  for (const thread of readdirSync('/proc/self/task'))
    if (nameOf(thread) === 'V8Worker') setPriority(Number(thread), NICE);
}

/** Undefined: it has ended meanwhile. */
function nameOf(thread: string): string | undefined {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, 'latin1').trim();
  } catch {
    return undefined;
  }
}
