// NOTIFICATION: why a session ends (RFC 4271 section 4.5 and 6).
//
//   | code (1) | subcode (1) | data ... |
import { Reader } from './reader.ts';
import { shutdownTextOf } from './shutdown.ts';

export interface Notification {
  readonly kind: 'notification';
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

export const ERROR = {
  header: 1,
  open: 2,
  update: 3,
  holdTimer: 4,
  fsm: 5,
  cease: 6,
  /** RFC 7313 section 5. */
  routeRefresh: 7,
  /** RFC 9687 section 3.3. */
  sendHoldTimer: 8,
} as const;
export const HEADER_ERROR = { notSynchronized: 1, badLength: 2, badType: 3 } as const;
export const OPEN_ERROR = {
  unspecific: 0,
  unsupportedVersion: 1,
  badPeerAs: 2,
  badIdentifier: 3,
  unsupportedParameter: 4,
  unacceptableHoldTime: 6,
  /** RFC 5492 section 5. */
  unsupportedCapability: 7,
} as const;
export const UPDATE_ERROR = {
  malformedAttributeList: 1,
  unrecognizedWellKnown: 2,
  optionalAttribute: 9,
  invalidNetwork: 10,
} as const;
/** RFC 6608. */
export const FSM_ERROR = { inOpenSent: 1, inOpenConfirm: 2, inEstablished: 3 } as const;
/** RFC 7313 section 5. */
export const ROUTE_REFRESH_ERROR = { invalidLength: 1 } as const;
/** RFC 4486 section 4. */
export const CEASE = {
  maximumPrefixes: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  otherConfigurationChange: 6,
  connectionCollision: 7,
  outOfResources: 8,
  /** RFC 8538 section 3. */
  hardReset: 9,
  /** RFC 9384 section 3. */
  bfdDown: 10,
} as const;

export const notification = (
  code: number,
  subcode = 0,
  data: Uint8Array = new Uint8Array(),
): Notification => ({ kind: 'notification', code, subcode, data });

/** So that the message fits whatever was agreed; the rest of longer data is left away. */
const DATA_OCTETS_MAX = 4096 - 19 - 2;

export const encodeNotification = ({ code, subcode, data }: Notification): Uint8Array =>
  Uint8Array.from([code, subcode, ...data.subarray(0, DATA_OCTETS_MAX)]);

export function decodeNotification(body: Uint8Array): Notification {
  const reader = new Reader(body);
  return notification(reader.u8(), reader.u8(), Uint8Array.from(reader.rest()));
}

/** The end of a session whose routes must not be kept (RFC 8538 section 3.1). */
export const hardReset = (reason: Notification): Notification =>
  notification(ERROR.cease, CEASE.hardReset, encodeNotification(reason));

export const isHardReset = ({ code, subcode }: Notification): boolean =>
  code === ERROR.cease && subcode === CEASE.hardReset;

/** The sender does not hear us, or BFD does not: what we send its way is lost, too. */
export const tellsOfSilence = ({ code, subcode }: Notification): boolean =>
  code === ERROR.holdTimer || (code === ERROR.cease && subcode === CEASE.bfdDown);

const CODE_TEXT: Record<number, string> = {
  1: 'Message Header Error',
  2: 'OPEN Message Error',
  3: 'UPDATE Message Error',
  4: 'Hold Timer Expired',
  5: 'Finite State Machine Error',
  6: 'Cease',
  7: 'ROUTE-REFRESH Message Error',
  8: 'Send Hold Timer Expired',
};
const SUBCODE_TEXT: Record<string, string> = {
  '1/1': 'Connection Not Synchronized',
  '1/2': 'Bad Message Length',
  '1/3': 'Bad Message Type',
  '2/1': 'Unsupported Version Number',
  '2/2': 'Bad Peer AS',
  '2/3': 'Bad BGP Identifier',
  '2/4': 'Unsupported Optional Parameter',
  '2/6': 'Unacceptable Hold Time',
  '2/7': 'Unsupported Capability',
  '2/11': 'Role Mismatch',
  '3/1': 'Malformed Attribute List',
  '3/2': 'Unrecognized Well-known Attribute',
  '3/3': 'Missing Well-known Attribute',
  '3/4': 'Attribute Flags Error',
  '3/5': 'Attribute Length Error',
  '3/6': 'Invalid ORIGIN Attribute',
  '3/8': 'Invalid NEXT_HOP Attribute',
  '3/9': 'Optional Attribute Error',
  '3/10': 'Invalid Network Field',
  '3/11': 'Malformed AS_PATH',
  '5/1': 'Receive Unexpected Message in OpenSent State',
  '5/2': 'Receive Unexpected Message in OpenConfirm State',
  '5/3': 'Receive Unexpected Message in Established State',
  '6/1': 'Maximum Number of Prefixes Reached',
  '6/2': 'Administrative Shutdown',
  '6/3': 'Peer De-configured',
  '6/4': 'Administrative Reset',
  '6/5': 'Connection Rejected',
  '6/6': 'Other Configuration Change',
  '6/7': 'Connection Collision Resolution',
  '6/8': 'Out of Resources',
  '6/9': 'Hard Reset',
  '6/10': 'BFD Down',
  '7/1': 'Invalid Message Length',
};

/**
 * The RFC's words for the log, e.g. `OPEN Message Error: Bad Peer AS (2/2)`, with what the operator
 * of the other side wrote, or the reason inside a hard reset, behind it.
 */
export function notificationText(said: Notification): string {
  const { code, subcode, data } = said;
  const detail = SUBCODE_TEXT[`${code}/${subcode}`];
  const text = `${CODE_TEXT[code] ?? 'Unknown'}${detail ? `: ${detail}` : ''} (${code}/${subcode})`;
  if (isHardReset(said) && data.length >= 2)
    return `${text}: ${notificationText(notification(data[0]!, data[1], data.subarray(2)))}`;
  const written = shutdownTextOf(said);
  return written === undefined ? text : `${text}: ${JSON.stringify(written)}`;
}
