// NOTIFICATION: why a session ends (RFC 4271 section 4.5 and 6, RFC 4486 for Cease).
//
//   | code (1) | subcode (1) | data ... |
import { Reader } from './reader.ts';

export interface Notification {
  readonly kind: 'notification';
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

export const ERROR = { header: 1, open: 2, update: 3, holdTimer: 4, fsm: 5, cease: 6 } as const;
export const HEADER_ERROR = { notSynchronized: 1, badLength: 2, badType: 3 } as const;
export const OPEN_ERROR = {
  unspecific: 0,
  unsupportedVersion: 1,
  badPeerAs: 2,
  badIdentifier: 3,
  unsupportedParameter: 4,
  unacceptableHoldTime: 6,
} as const;
export const UPDATE_ERROR = {
  malformedAttributeList: 1,
  unrecognizedWellKnown: 2,
  optionalAttribute: 9,
  invalidNetwork: 10,
} as const;
/** RFC 6608. */
export const FSM_ERROR = { inOpenSent: 1, inOpenConfirm: 2, inEstablished: 3 } as const;
/** RFC 4486. */
export const CEASE = {
  maximumPrefixes: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  otherConfigurationChange: 6,
  connectionCollision: 7,
  outOfResources: 8,
} as const;

export const notification = (
  code: number,
  subcode = 0,
  data: Uint8Array = new Uint8Array(),
): Notification => ({ kind: 'notification', code, subcode, data });

export const encodeNotification = ({ code, subcode, data }: Notification): Uint8Array =>
  Uint8Array.from([code, subcode, ...data]);

export function decodeNotification(body: Uint8Array): Notification {
  const reader = new Reader(body);
  return notification(reader.u8(), reader.u8(), Uint8Array.from(reader.rest()));
}

const CODE_TEXT: Record<number, string> = {
  1: 'Message Header Error',
  2: 'OPEN Message Error',
  3: 'UPDATE Message Error',
  4: 'Hold Timer Expired',
  5: 'Finite State Machine Error',
  6: 'Cease',
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
  '3/1': 'Malformed Attribute List',
  '3/2': 'Unrecognized Well-known Attribute',
  '3/9': 'Optional Attribute Error',
  '3/10': 'Invalid Network Field',
  '6/1': 'Maximum Number of Prefixes Reached',
  '6/2': 'Administrative Shutdown',
  '6/3': 'Peer De-configured',
  '6/4': 'Administrative Reset',
  '6/5': 'Connection Rejected',
  '6/6': 'Other Configuration Change',
  '6/7': 'Connection Collision Resolution',
  '6/8': 'Out of Resources',
};

/** The RFC's words for the log, e.g. `OPEN Message Error: Bad Peer AS (2/2)`. */
export function notificationText({ code, subcode }: Notification): string {
  const detail = SUBCODE_TEXT[`${code}/${subcode}`];
  return `${CODE_TEXT[code] ?? 'Unknown'}${detail ? `: ${detail}` : ''} (${code}/${subcode})`;
}
