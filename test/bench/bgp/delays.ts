// How long a device of ours keeps its own timers waiting.

/** In the folder of the device; written when it ends. */
export const DELAYS_FILE = 'delays.json';
/** The device's last word when it is to be watched. */
export const WATCHED = 'watched';

/** In milliseconds, since the first session came up, but for the last. */
export interface DeviceDelays {
  /** Lateness of a timer that is due every millisecond. */
  readonly loopMax: number;
  readonly loopP99: number;
  /** The longest slice of the routing table's work; and in processor time, which knows nothing of others. */
  readonly sliceMax: number;
  readonly sliceCpuMax: number;
  /** Slices in all, and those that took more than 5 ms of processor time. */
  readonly slices: number;
  readonly slicesLong: number;
  /** The longest reading of one message. */
  readonly messageMax: number;
  readonly messageCpuMax: number;
  /** Octets, not milliseconds: the most that has waited for one peer to read. */
  readonly queuedMax: number;
}
