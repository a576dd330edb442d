// Watches how long a device of ours keeps its own timers waiting. The clock is read at each slice and
// message, which costs a sixth of the device's time: so it is done where it is asked for.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Exchange } from '../../../src/speaker/exchange.io.ts';
import { Peering } from '../../../src/speaker/peering.io.ts';
import { threadCpuMs } from '../thread-cpu.ts';
import type { DeviceDelays } from './delays.ts';

const SLICE_MS = 5;

/** From now on; answers how to ask what was found. */
export function watch({ table }: Exchange): () => DeviceDelays {
  const measured = { sliceMax: 0, messageMax: 0, sliceCpuMax: 0, messageCpuMax: 0 };
  const counted = { slices: 0, slicesLong: 0, queuedMax: 0 };
  const timed = <A extends unknown[], R>(what: 'slice' | 'message', call: (...args: A) => R) => {
    return (...args: A): R => {
      const [began, cpuBegan] = [performance.now(), threadCpuMs()];
      const result = call(...args);
      const cpu = threadCpuMs() - cpuBegan;
      measured[`${what}Max`] = Math.max(measured[`${what}Max`], performance.now() - began);
      measured[`${what}CpuMax`] = Math.max(measured[`${what}CpuMax`], cpu);
      if (what === 'slice') {
        counted.slices += 1;
        if (cpu > SLICE_MS) counted.slicesLong += 1;
      }
      return result;
    };
  };
  table.work = timed('slice', table.work.bind(table));
  table.receive = timed('message', table.receive.bind(table));
  const { sendBytes } = Peering.prototype;
  Peering.prototype.sendBytes = function (this: Peering, bytes): void {
    sendBytes.call(this, bytes);
    counted.queuedMax = Math.max(counted.queuedMax, this.queuedOctets);
  };
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  return () => {
    const [loopMax, loopP99] = [loop.max / 1e6, loop.percentile(99) / 1e6];
    return { loopMax, loopP99, ...measured, ...counted };
  };
}
