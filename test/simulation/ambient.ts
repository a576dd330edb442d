// While a simulation runs, real time and real chance are out of reach: whoever asks for them would
// make a seed that fails impossible to replay.

/** Takes them away; the answer gives them back. */
export function withoutAmbient(): () => void {
  const { now } = Date;
  const { random } = Math;
  const { setTimeout, setInterval } = globalThis;
  const forbidden = (what: string) => (): never => {
    throw new Error(`${what} in a simulation`);
  };
  Date.now = forbidden('Date.now');
  Math.random = forbidden('Math.random');
  globalThis.setTimeout = forbidden('setTimeout') as unknown as typeof setTimeout;
  globalThis.setInterval = forbidden('setInterval') as unknown as typeof setInterval;
  return () => {
    Date.now = now;
    Math.random = random;
    globalThis.setTimeout = setTimeout;
    globalThis.setInterval = setInterval;
  };
}
