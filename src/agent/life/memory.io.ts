// What the start leaves behind is given back to the kernel.
import { setFlagsFromString } from 'node:v8';
import { pause } from '../../base/pause.io.ts';
import { giveBackMemory } from '../../kernel/libc.io.ts';

/** `quiet`: so long no pod has come or gone; `collection`: V8 is sure to have begun and ended its own,
 *  which it thinks of every 8 s. */
const MILLISECONDS = { quiet: 3_000, collection: 10_000 };
/** Pods that come meanwhile do not wait for longer. */
const LOOK_MILLISECONDS = 500;

/**
 * Reading ten thousand endpoints leaves 25 MiB behind that V8 would keep for a growing heap, in
 * pages that hold little. With --optimize-for-size its next collection moves together what lives.
 * With that for good it would collect too often, and at times for more than 20 ms. `calls`: how many
 * there have been of CNI. Resolves when it is done, or by the signal.
 */
export async function settleMemory(
  calls: () => number,
  signal: AbortSignal,
  { quiet, collection } = MILLISECONDS,
): Promise<void> {
  while (!signal.aborted) {
    if (!(await nothingComes(calls, quiet, signal))) continue;
    setFlagsFromString('--optimize-for-size');
    const isDone = await nothingComes(calls, collection, signal);
    setFlagsFromString('--no-optimize-for-size');
    if (isDone) return giveBackMemory();
  }
}

/** False: as soon as one has come, or by the signal. */
async function nothingComes(
  calls: () => number,
  milliseconds: number,
  signal: AbortSignal,
): Promise<boolean> {
  const before = calls();
  const until = performance.now() + milliseconds;
  while (performance.now() < until) {
    await pause(LOOK_MILLISECONDS, signal);
    if (signal.aborted || calls() !== before) return false;
  }
  return true;
}
