// Loaded into the measured agent with --import. SIGUSR2 begins a measurement of how late its event loop
// comes round; the next one ends it: the longest delay in milliseconds is added to the file.
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MILLISECONDS = 1;
const file = process.env['LOOP_PROBE_FILE'];
let running: ReturnType<typeof monitorEventLoopDelay> | undefined;

const toggle = (): void => {
  if (!running) {
    running = monitorEventLoopDelay({ resolution: RESOLUTION_MILLISECONDS });
    running.enable();
    return;
  }
  running.disable();
  appendFileSync(file!, `${(running.max / 1e6 - RESOLUTION_MILLISECONDS).toFixed(2)}\n`);
  running = undefined;
};

if (file !== undefined) {
  process.on('SIGUSR2', toggle);
  if (process.env['LOOP_PROBE_FROM_START']) toggle();
}
