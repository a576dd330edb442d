import type { Clock } from './clock.ts';

/** The machine's clocks. */
export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
};
