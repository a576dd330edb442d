import type { Family } from '../../net/ip.ts';

/** Told of each round. Times are in milliseconds. */
export interface RoundObserver {
  /** A change of the datastore was taken in. */
  calculated?(took: number): void;
  /** The kernel was compared with what it shall hold, and written. */
  applied(family: Family, took: number, commits: number): void;
  failed(family: Family): void;
  /** From the oldest change of the round until the kernel had it. */
  programmed(family: Family, took: number): void;
}
