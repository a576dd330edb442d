// Loaded into a program before its own code (--expose-gc --import): on SIGUSR2 it collects all garbage
// and writes down what is held then, so that a test sees what a program keeps and not what V8 and malloc
// have not come to give back.
import { writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';

/** The environment's name of the file. */
export const HELD_MEMORY_FILE = 'CALICO_KIT_HELD_MEMORY_FILE';

/** Weak references and finalizers need a turn of the event loop each. */
const COLLECTIONS = 3;

const file = process.env[HELD_MEMORY_FILE];
if (file)
  process.on('SIGUSR2', async () => {
    for (let i = 0; i < COLLECTIONS; i++) {
      globalThis.gc?.();
      await setImmediate();
    }
    // Compiled code and what belongs to it come and go as V8 sees fit.
    const spaces = getHeapSpaceStatistics().filter((one) => !/code|trusted/.test(one.space_name));
    const held = spaces.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
    writeFileSync(file, String(held + process.memoryUsage().arrayBuffers));
  });
