// Whom a node speaks to: one value for each session that should be, with all that was decided about
// it. The session machine, the sockets and the routing table take from it what is theirs; nobody
// else reads Calico's resources.
import type { BgpFilter } from '../model/bgp-filter.ts';
import type { Asn } from '../net/asn.ts';
import type { Family, Ip } from '../net/ip.ts';

/** One session that should be, with all that was decided about it. */
export interface DesiredPeer {
  /** `Mesh_10_0_0_1`, `Node_...`, `Global_...` or `Local_Workload_...`. */
  readonly name: string;
  readonly kind: 'mesh' | 'node' | 'global' | 'workload';
  /** The peer's Node; undefined: no node of the cluster. */
  readonly node?: string | undefined;
  /** The pod of this node that the peer is; undefined: it is none. */
  readonly workload?: PeerWorkload | undefined;
  readonly address: Ip;
  readonly port: number;
  readonly asn: Asn;
  readonly localAsn: Asn;
  /** Undefined: whatever the kernel chooses. */
  readonly localAddress?: Ip | undefined;
  /** Of the transport. */
  readonly family: Family;
  /** Whose routes the OPEN offers. */
  readonly families: readonly Family[];
  /** Never connects, only listens. */
  readonly passive: boolean;
  /** What our OPEN offers; undefined: the speaker's default. */
  readonly holdTimeSeconds?: number | undefined;
  /** Undefined: a third of the negotiated hold time. */
  readonly keepaliveSeconds?: number | undefined;
  /** TCP-MD5 key (RFC 2385). */
  readonly password?: string | undefined;
  /** GTSM (RFC 5082): so many hops at most lie between us; packets below TTL 256 - n are dropped. */
  readonly ttlSecurityHops?: number | undefined;
  /** How long the peer keeps our routes while we restart (RFC 4724); 0: off. */
  readonly gracefulRestartSeconds?: number | undefined;
  /** And how long after that, as a last choice (RFC 9494); undefined: not at all. */
  readonly longLivedSeconds?: number | undefined;
  /** How often our own AS may stand in an AS_PATH that is believed. */
  readonly allowLocalAsns: number;
  readonly nextHopMode: 'auto' | 'self' | 'keep';
  /** We reflect routes to it as to a client (RFC 4456). */
  readonly reflectorClient: boolean;
  /** Our CLUSTER_ID on this session; undefined: we reflect nothing. */
  readonly clusterId?: Ip | undefined;
  /** In order; the first rule that matches decides. */
  readonly filters: readonly BgpFilter[];
  /** The gateway that the peer's address is reached by. */
  readonly reachableBy?: Ip | undefined;
  readonly bfd?: DesiredBfd | undefined;
  /** Offers to send and receive several paths to a prefix (RFC 7911). */
  readonly addPath: boolean;
  /** More prefixes than this end the session (RFC 4486). */
  readonly maxPrefixes?: number | undefined;
  /** An external peer without filters tells and is told nothing (RFC 8212). */
  readonly explicitPolicy: boolean;
}

/** A pod that speaks BGP to its node. */
export interface PeerWorkload {
  /** `namespace/pod`. */
  readonly name: string;
  /** The host end of its link, which carries the address that it speaks to. */
  readonly interfaceName: string;
  /** Only through these it leads anywhere. */
  readonly addresses: readonly Ip[];
}

/** BFD's timers in milliseconds (RFC 5880). */
export interface DesiredBfd {
  readonly transmitMs: number;
  readonly receiveMs: number;
  readonly multiplier: number;
  readonly multihop: boolean;
}

/** What a session without special wishes has. */
export const PEER_DEFAULTS = {
  allowLocalAsns: 0,
  nextHopMode: 'auto',
  reflectorClient: false,
  filters: [],
  gracefulRestartSeconds: 120,
  addPath: true,
  explicitPolicy: false,
} as const satisfies Partial<DesiredPeer>;

/**
 * The facts of which a change ends the session, since they are agreed on when it begins or belong
 * to its sockets. All others are policy: they change while it is up.
 */
const SESSION_FACTS = [
  'address',
  'port',
  'asn',
  'localAsn',
  'localAddress',
  'families',
  'passive',
  'holdTimeSeconds',
  'keepaliveSeconds',
  'password',
  'ttlSecurityHops',
  'gracefulRestartSeconds',
  'longLivedSeconds',
  'addPath',
] as const satisfies readonly (keyof DesiredPeer)[];

/** Equal for two peers of which the one can become the other without a new session. */
export const sessionKey = (peer: DesiredPeer): string =>
  JSON.stringify(SESSION_FACTS.map((fact) => peer[fact] ?? null));

/** Names a session: a node has one at most to each address and port. */
export const endpointOf = ({ address, port }: Pick<DesiredPeer, 'address' | 'port'>): string =>
  `${address} ${port}`;
