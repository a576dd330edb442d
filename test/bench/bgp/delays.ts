// How long a device of ours keeps its own timers waiting.

/** In the folder of the device; written when it ends. */
export const DELAYS_FILE = 'delays.json';

/** In milliseconds, since the first session came up, but for the last. */
export interface DeviceDelays {
  /** Lateness of a timer that is due every millisecond. */
  readonly loopMax: number;
  readonly loopP99: number;
  /** The longest slice of the routing table's work. */
  readonly sliceMax: number;
  /** The longest reading of one message. */
  readonly messageMax: number;
  /** Octets, not milliseconds: the most that has waited for one peer to read. */
  readonly queuedMax: number;
}
