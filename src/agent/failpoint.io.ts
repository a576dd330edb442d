// Named places where a test may end the process as kill -9 would. Does nothing in production.

/** A function that kills this process when it is called with `wanted`. */
export function failpointOf(wanted: string): (name: string) => void {
  if (wanted === '') return () => {};
  return (name) => {
    if (name === wanted) process.kill(process.pid, 'SIGKILL');
  };
}
