/** Milliseconds of a monotonic clock: for timers and intervals, never for dates. */
export type Milliseconds = number;

/** What a program hands to code that needs to know the time. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): Milliseconds;
  /** Wall-clock time, for timestamps in stored objects. */
  date(): Date;
}
