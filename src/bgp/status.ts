// What a speaker says of its sessions: the answer of its /status, read by `calico-kit node status` and
// `calico-kit bgp peers`. Only values that JSON keeps.
import type { Asn } from '../net/asn.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { SessionState } from './session.ts';

/** calicoctl's words for where a peering comes from. */
export type PeerType = 'node-to-node mesh' | 'node specific' | 'global';

export interface PeerReport {
  /** `Mesh_10_0_0_1`, `Node_10_0_0_1`, `Global_10_0_0_1`. */
  readonly name: string;
  readonly type: PeerType;
  /** The Calico node at the other end, where it is one. */
  readonly node?: string;
  readonly address: Ip;
  readonly port: number;
  readonly family: Family;
  readonly asn: Asn;
  readonly localAsn: Asn;
  /** Never connects by itself. */
  readonly passive: boolean;
  readonly state: SessionState;
  /** When the state was entered, RFC 3339. */
  readonly since: string;
  /** Why the last connection or attempt ended. */
  readonly lastError?: string;
  /** Times that an established session ended since the start. */
  readonly flaps: number;
  /** Prefixes held from the peer and told to it. */
  readonly prefixesIn: number;
  readonly prefixesOut: number;
}

export interface SpeakerReport {
  readonly node: string;
  readonly peers: readonly PeerReport[];
  /** What keeps wanted routes out of the kernel, in words. */
  readonly routeProblems: readonly string[];
  /** What of the BGP resources is not done as asked for, and why. */
  readonly problems: readonly string[];
}

/** BIRD's three words for a protocol: calicoctl's column STATE. */
export type ProtocolState = 'up' | 'start' | 'down';

export const protocolState = ({ state }: Pick<PeerReport, 'state'>): ProtocolState =>
  state === 'established' ? 'up' : 'start';

const WORDS: Readonly<Record<SessionState, string>> = {
  idle: 'Idle',
  connect: 'Connect',
  active: 'Active',
  openSent: 'OpenSent',
  openConfirm: 'OpenConfirm',
  established: 'Established',
};

/** calicoctl's column INFO: the state, and why it is not Established. */
export function infoOf({
  state,
  passive,
  lastError,
}: Pick<PeerReport, 'state' | 'passive' | 'lastError'>): string {
  if (state === 'established') return WORDS.established;
  const word = passive && state === 'active' ? 'Passive' : WORDS[state];
  return lastError ? `${word} ${lastError}` : word;
}
