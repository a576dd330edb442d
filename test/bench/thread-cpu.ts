// Processor time of the calling thread, to the microsecond.

/** In milliseconds since the thread began. */
export function threadCpuMs(): number {
  // The kernel brings a running thread's time up to date for who asks for the process's; else it is as
  // old as the last tick, which may be 4 ms ago.
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
