// Loaded into the measured agent with --import. SIGUSR2 begins a measurement of how long its event loop is
// held up; the next one ends it and adds a line to the file, in milliseconds: the longest delay by the clock;
// the longest that was the agent's own doing, time in which the main thread ran or waited inside a call,
// without the time for which it could have run but others had the processors; and the most processor time
// of one turn, which is the same on the busiest machine. LOOP_PROBE_SLICES
// names a file of all that took long: begin and end (microseconds of the monotonic clock, as in V8's
// profiles), and milliseconds of processor time and of waiting for a processor.
import { appendFileSync, closeSync, openSync, readSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MILLISECONDS = 1;
const SLICE_TOLD_MILLISECONDS = 5;
const file = process.env['LOOP_PROBE_FILE'];
const slices = process.env['LOOP_PROBE_SLICES'];

interface Moment {
  /** Milliseconds: of the clock, of processor time, and of waiting for a processor. */
  readonly clock: number;
  readonly ran: number;
  readonly waited: number;
}

interface Measurement {
  end(): { readonly delay: number; readonly own: number; readonly ran: number };
}

const buffer = Buffer.alloc(128);

// Of the first thread (Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat).
function momentOf(schedstat: number): Moment {
  const length = readSync(schedstat, buffer, 0, buffer.length, 0);
  const [ran, waited] = buffer.toString('latin1', 0, length).split(' ').map(Number);
  const clock = Number(process.hrtime.bigint()) / 1e6;
  return { clock, ran: ran! / 1e6, waited: waited! / 1e6 };
}

// A timer of each millisecond: between two of its turns lies one turn of anything else, or short ones.
function measure(): Measurement {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MILLISECONDS });
  delays.enable();
  const schedstat = openSync('/proc/self/schedstat', 'r');
  const long: string[] = [];
  let most = 0;
  let mostRan = 0;
  // From the loop's first turn on: before it the program's own text is read, and nobody waits.
  let before: Moment | undefined;
  const timer = setInterval(() => {
    const now = momentOf(schedstat);
    const [from, waited] = [before ?? now, now.waited - (before ?? now).waited];
    const own = now.clock - from.clock - waited - RESOLUTION_MILLISECONDS;
    most = Math.max(most, own);
    mostRan = Math.max(mostRan, now.ran - from.ran);
    if (slices !== undefined && own > SLICE_TOLD_MILLISECONDS)
      long.push(
        `${from.clock * 1e3} ${now.clock * 1e3} ${(now.ran - from.ran).toFixed(2)} ${waited.toFixed(2)}\n`,
      );
    before = momentOf(schedstat);
  }, RESOLUTION_MILLISECONDS);
  timer.unref();
  const end = (): { delay: number; own: number; ran: number } => {
    clearInterval(timer);
    closeSync(schedstat);
    delays.disable();
    if (slices !== undefined) appendFileSync(slices, long.join(''));
    return { delay: delays.max / 1e6 - RESOLUTION_MILLISECONDS, own: most, ran: mostRan };
  };
  return { end };
}

let running: Measurement | undefined;

const toggle = (): void => {
  if (!running) {
    running = measure();
    return;
  }
  const { delay, own, ran } = running.end();
  running = undefined;
  appendFileSync(file!, `${delay.toFixed(2)} ${own.toFixed(2)} ${ran.toFixed(2)}\n`);
};

if (file !== undefined) {
  process.on('SIGUSR2', toggle);
  if (process.env['LOOP_PROBE_FROM_START']) toggle();
}
