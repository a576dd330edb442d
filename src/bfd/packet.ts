// BFD Control packets without authentication (RFC 5880 section 4.1).
//
//   | vers (3) diag (5) | state (2) P F C A D M | detect mult | length |
//   | my discriminator                                                 |
//   | your discriminator                                               |
//   | desired min TX interval                                          |
//   | required min RX interval                                         |
//   | required min echo RX interval                                    |
import { fail, ok, type Result } from '../base/result.ts';

export type BfdState = 'adminDown' | 'down' | 'init' | 'up';

export interface ControlPacket {
  /** Why the sender's session left Up last: one of DIAGNOSTIC, or a number unknown to us. */
  readonly diagnostic: number;
  /** The sender's own state. */
  readonly state: BfdState;
  readonly poll: boolean;
  readonly final: boolean;
  /** The sender's BFD lives on when its control plane does not. */
  readonly controlPlaneIndependent: boolean;
  readonly demand: boolean;
  /** Missed packets that mean loss; not 0. */
  readonly detectMultiplier: number;
  /** Not 0. */
  readonly myDiscriminator: number;
  /** 0: the sender has not heard of this session. */
  readonly yourDiscriminator: number;
  /** All intervals are in microseconds. */
  readonly desiredMinTransmitUs: number;
  /** 0: the sender wants no periodic packets. */
  readonly requiredMinReceiveUs: number;
  readonly requiredMinEchoReceiveUs: number;
}

/** RFC 5880 section 4.1. */
export const DIAGNOSTIC = {
  none: 0,
  detectionTimeExpired: 1,
  echoFailed: 2,
  neighborSignaledDown: 3,
  forwardingPlaneReset: 4,
  pathDown: 5,
  concatenatedPathDown: 6,
  administrativelyDown: 7,
  reverseConcatenatedPathDown: 8,
} as const;

const DIAGNOSTIC_TEXT = [
  'No Diagnostic',
  'Control Detection Time Expired',
  'Echo Function Failed',
  'Neighbor Signaled Session Down',
  'Forwarding Plane Reset',
  'Path Down',
  'Concatenated Path Down',
  'Administratively Down',
  'Reverse Concatenated Path Down',
] as const;

/** The RFC's words. */
export const diagnosticText = (diagnostic: number): string =>
  DIAGNOSTIC_TEXT[diagnostic] ?? `Diagnostic ${diagnostic}`;

const VERSION = 1;
const STATES: readonly BfdState[] = ['adminDown', 'down', 'init', 'up'];
const FLAG = {
  poll: 0x20,
  final: 0x10,
  independent: 8,
  authentication: 4,
  demand: 2,
  multipoint: 1,
};
/** With an authentication section a packet has at least two octets more. */
const LENGTH = { plain: 24, authenticated: 26 } as const;
const U32_MAX = 0xffff_ffff;

export function encodePacket(packet: ControlPacket): Uint8Array {
  const bytes = new Uint8Array(LENGTH.plain);
  const view = new DataView(bytes.buffer);
  const flag = (set: boolean, bit: number): number => (set ? bit : 0);
  bytes[0] = (VERSION << 5) | (packet.diagnostic & 31);
  bytes[1] =
    (STATES.indexOf(packet.state) << 6) |
    flag(packet.poll, FLAG.poll) |
    flag(packet.final, FLAG.final) |
    flag(packet.controlPlaneIndependent, FLAG.independent) |
    flag(packet.demand, FLAG.demand);
  bytes[2] = packet.detectMultiplier;
  bytes[3] = LENGTH.plain;
  const words = [
    packet.myDiscriminator,
    packet.yourDiscriminator,
    packet.desiredMinTransmitUs,
    packet.requiredMinReceiveUs,
    packet.requiredMinEchoReceiveUs,
  ];
  for (const [i, word] of words.entries()) view.setUint32(4 + 4 * i, Math.min(word, U32_MAX));
  return bytes;
}

/**
 * A packet that some session may be given, or why it is discarded: the checks of RFC 5880 section
 * 6.8.6 that need no session. Octets behind the packet's own length are ignored.
 */
export function decodePacket(bytes: Uint8Array): Result<ControlPacket> {
  if (bytes.length < LENGTH.plain) return fail(`${bytes.length} octets are no packet`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [first, flags, detectMultiplier, length] = bytes as unknown as [
    number,
    number,
    number,
    number,
  ];
  const authenticated = (flags & FLAG.authentication) !== 0;
  if (first >> 5 !== VERSION) return fail(`version ${first >> 5}`);
  if (length < (authenticated ? LENGTH.authenticated : LENGTH.plain) || length > bytes.length)
    return fail(`length ${length} of ${bytes.length}`);
  if (detectMultiplier === 0) return fail('multiplier 0');
  if (flags & FLAG.multipoint) return fail('multipoint');
  const poll = (flags & FLAG.poll) !== 0;
  const final = (flags & FLAG.final) !== 0;
  if (poll && final) return fail('poll and final'); // section 6.5 forbids it
  const packet: ControlPacket = {
    diagnostic: first & 31,
    state: STATES[flags >> 6]!,
    poll,
    final,
    controlPlaneIndependent: (flags & FLAG.independent) !== 0,
    demand: (flags & FLAG.demand) !== 0,
    detectMultiplier,
    myDiscriminator: view.getUint32(4),
    yourDiscriminator: view.getUint32(8),
    desiredMinTransmitUs: view.getUint32(12),
    requiredMinReceiveUs: view.getUint32(16),
    requiredMinEchoReceiveUs: view.getUint32(20),
  };
  if (packet.myDiscriminator === 0) return fail('discriminator 0');
  const begun = packet.state === 'init' || packet.state === 'up';
  if (packet.yourDiscriminator === 0 && begun) return fail(`${packet.state} for no session`);
  // No session of ours has a key.
  return authenticated ? fail('authentication is not in use') : ok(packet);
}
