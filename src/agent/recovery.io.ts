// What a crash, an undo that failed or a datastore that was away left behind is put in order: at start,
// within seconds of being asked, and now and then anyway. It runs alone, no CNI call is under way.
import { setTimeout as pauseFor } from 'node:timers/promises';
import { messageOf, OpError } from '../base/op-error.ts';
import type { CniContext } from './cni/context.ts';
import { replayJournal } from './cni/del/del.io.ts';
import type { CallGate } from './cni/gate.ts';
import { Restoration } from './life/restoration.io.ts';
import { sweepNode } from './sweep.io.ts';

const SOON_MILLISECONDS = 1000;
const AGAIN_MILLISECONDS = 3000;
const ANYWAY_MILLISECONDS = 300_000;
/** So long calls wait for one that is under way, so that this may run alone. */
const HOLD_MILLISECONDS = 250;

/**
 * What a restored datastore lacks, releases that DEL had to put off, then whatever is provably
 * dead. Throws OpError.
 */
export async function recover(
  context: CniContext,
  restoration = new Restoration(),
): Promise<Record<string, number>> {
  const restored = await restoration.heal(context);
  const { waiting } = restoration;
  if (waiting.length > 0) throw new OpError('put back', `not in the datastore: ${waiting.join()}`);
  // What DEL cut off is no sign of life, though the datastore has its record again.
  if (restored > 0) await context.removal.tryAll();
  const releases = await replayJournal(context);
  return { restored, releases, ...(await sweepNode(context)) };
}

const pauseOnClock = (milliseconds: number): Promise<void> =>
  pauseFor(milliseconds, undefined, { ref: false });

export class Recovery {
  private readonly pause: (milliseconds: number) => Promise<void>;
  private asked = Promise.withResolvers<void>();

  constructor(pause = pauseOnClock) {
    this.pause = pause;
  }

  readonly restoration = new Restoration();

  /** Within seconds; asking twice is asking once. */
  soon = (): void => this.asked.resolve();

  /** Runs until the signal fires. */
  async run(context: CniContext, gate: CallGate, signal: AbortSignal): Promise<void> {
    let wait = ANYWAY_MILLISECONDS;
    while (!signal.aborted) {
      await Promise.race([
        this.pause(wait),
        this.asked.promise.then(() => this.pause(SOON_MILLISECONDS)),
      ]);
      this.asked = Promise.withResolvers<void>();
      try {
        const done = await gate.alone(
          () => recover(context, this.restoration),
          this.pause(HOLD_MILLISECONDS),
        );
        if (Object.values(done).some((count) => count > 0)) context.log.warn(done, 'put in order');
        wait = ANYWAY_MILLISECONDS;
      } catch (cause) {
        context.log.warn({ cause: messageOf(cause) }, 'not put in order; it will be tried again');
        wait = AGAIN_MILLISECONDS;
      }
    }
  }
}
