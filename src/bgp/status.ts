// What a speaker says of its sessions: the answer of its /status, read by `calico-kit node status` and
// `calico-kit bgp peers`. Only values that JSON keeps.
import type { Asn } from '../net/asn.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { SessionState } from './session.ts';

/** calicoctl's words for where a peering comes from. */
export type PeerType = 'node-to-node mesh' | 'node specific' | 'global' | 'local workload';

export interface PeerReport {
  /** `Mesh_10_0_0_1`, `Node_10_0_0_1`, `Global_10_0_0_1`, `Local_Workload_192_168_1_2`. */
  readonly name: string;
  readonly type: PeerType;
  /** The Calico node at the other end, where it is one. */
  readonly node?: string;
  /** The pod of this node that it is, `namespace/name`. */
  readonly workload?: string;
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
  /** BGP messages by type since the start. */
  readonly messages: { readonly received: MessageCounts; readonly sent: MessageCounts };
  /** Absent: BFD does not watch this peer. */
  readonly bfd?: BfdStatus;
  /** Prefixes held from the peer and told to it. */
  readonly prefixesIn: number;
  readonly prefixesOut: number;
}

/** How many of each type (RFC 4271 section 4.1, RFC 2918). */
export interface MessageCounts {
  readonly open: number;
  readonly update: number;
  readonly notification: number;
  readonly keepalive: number;
  readonly refresh: number;
}

/** The BFD session of a peer (RFC 5880). */
export interface BfdStatus {
  readonly state: 'adminDown' | 'down' | 'init' | 'up';
  /** When the state was entered, RFC 3339. */
  readonly since: string;
  /** Why it left Up last, or why it cannot run. */
  readonly cause?: string;
  /** Losses since the start. */
  readonly failures: number;
}

export interface SpeakerReport {
  readonly node: string;
  readonly peers: readonly PeerReport[];
  /** What keeps wanted routes out of the kernel, in words. */
  readonly routeProblems: readonly string[];
  /** What of the BGP resources is not done as asked for, and why. */
  readonly problems: readonly string[];
}

/** One path to a prefix, as a peer told it. */
export interface PathReport {
  /** The peer's name; absent: this node answers for the prefix itself. */
  readonly peer?: string;
  readonly from?: Ip;
  readonly nextHop?: Ip;
  /** `64512 64513 {64514}`; empty inside the AS. */
  readonly asPath: string;
  readonly origin: string;
  readonly localPref: number;
  readonly med?: number;
  /** `64512:100`, `64512:1:2`, or the well-known name. */
  readonly communities: readonly string[];
  /** The peer is away, and its routes are kept for a while (RFC 4724, RFC 9494). */
  readonly stale: boolean;
  /** `best`; `equal`: shares the traffic with the best; `worse`; `unusable`. */
  readonly rank: 'best' | 'equal' | 'worse' | 'unusable';
  /** The step of the decision that it lost, or why it cannot be used; absent for the best. */
  readonly why?: string;
}

export interface RouteReport {
  readonly prefix: Cidr;
  /** The best first. */
  readonly paths: readonly PathReport[];
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
