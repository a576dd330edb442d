// The exchange of OPENs: what we say, whom we refuse, what both sides agree on, and which of two
// connections survives.
import type { Asn } from '../net/asn.ts';
import { type Family, type Ip, valueOfIp } from '../net/ip.ts';
import type { Capability, PreservedFamily } from './codec/capabilities.ts';
import { AFI_OF, SAFI_UNICAST } from './codec/families.ts';
import { ERROR, type Notification, notification, OPEN_ERROR } from './codec/notification.ts';
import type { Open } from './codec/open.ts';
import type { Connection, OurRestart, Session, SessionConfig } from './session.ts';
import type { Kept } from './table/stale.ts';

/** What both OPENs of a session agreed on. */
export interface Negotiated {
  readonly families: readonly Family[];
  /** AS numbers travel in four octets (RFC 6793). */
  readonly fourOctetAs: boolean;
  /** UPDATEs of up to 65,535 octets (RFC 8654). */
  readonly extendedMessage: boolean;
  /** RFC 2918. */
  readonly routeRefresh: boolean;
  /** With its begin and end marked (RFC 7313). */
  readonly enhancedRefresh: boolean;
  /** Families whose UPDATEs to us carry path identifiers (RFC 7911). */
  readonly addPathReceive: readonly Family[];
  /** Families whose UPDATEs to the peer carry them. */
  readonly addPathSend: readonly Family[];
  /** IPv4 prefixes may have an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** How the peer restarts (RFC 4724); undefined: one of us does not know how. */
  readonly gracefulRestart?: NegotiatedRestart | undefined;
  /** How long its routes last beyond the restart time (RFC 9494). */
  readonly longLived?: readonly LongLivedFamily[] | undefined;
  /** 0: neither keepalives nor a hold timer. */
  readonly holdTimeSeconds: number;
  readonly peerAsn: Asn;
  readonly peerRouterId: Ip;
}

export interface NegotiatedRestart {
  readonly restartSeconds: number;
  /** It has just restarted. */
  readonly restarting: boolean;
  /** Routes are kept after a NOTIFICATION too, unless it is a hard reset (RFC 8538). */
  readonly notifies: boolean;
  /** Whose routes are kept; none: the peer only helps others. */
  readonly families: readonly PreservedFamily[];
}

export interface LongLivedFamily extends PreservedFamily {
  readonly staleSeconds: number;
}

export function ourOpen({ config, restarting }: Pick<Session, 'config' | 'restarting'>): Open {
  const { families, localAsn: asn, holdTimeSeconds, routerId } = config;
  const capabilities: Capability[] = [
    ...families.map((family) => ({ kind: 'multiprotocol', family }) as const),
    { kind: 'routeRefresh' },
    ...(config.extendedNextHop && families.includes(4)
      ? [{ kind: 'extendedNextHop' } as const]
      : []),
    { kind: 'extendedMessage' },
    ...restartCapabilities(config, restarting),
    { kind: 'fourOctetAs', asn },
    ...(config.addPath ? [addPathOf(families)] : []),
    { kind: 'enhancedRefresh' },
  ];
  return { kind: 'open', version: 4, asn, holdTimeSeconds, routerId, capabilities };
}

const addPathOf = (families: readonly Family[]): Capability => ({
  kind: 'addPath',
  families: families.map((family) => ({ family, receive: true, send: true })),
});

// The kernel forwards while we restart: its routes outlive the program. Without a time of our own we
// still tell that we know what long-lived stale routes are (RFC 9494 section 4.1).
function restartCapabilities(config: SessionConfig, restarting: boolean): Capability[] {
  const { gracefulRestart, longLivedSeconds: staleSeconds } = config;
  if (!gracefulRestart) return [];
  const families = config.families.map((family) => ({
    family,
    // Whoever only lost the connection forwards as before.
    forwardingPreserved: !restarting || gracefulRestart.forwardingPreserved.includes(family),
  }));
  const lives = staleSeconds === undefined ? [] : families.map((f) => ({ ...f, staleSeconds }));
  const { restartSeconds, notifies } = gracefulRestart;
  return [
    { kind: 'gracefulRestart', restarting, notifies, restartSeconds, families },
    { kind: 'longLived', families: lives },
  ];
}

/** What an OPEN of the wrong peer is answered with (RFC 4271 section 6.2). */
export function refusalOf(config: SessionConfig, open: Open): Notification | undefined {
  if (open.asn !== config.peerAsn) return notification(ERROR.open, OPEN_ERROR.badPeerAs);
  // An identifier need not be unique among systems (RFC 6286 section 2.2).
  if (open.routerId === config.routerId && config.localAsn === config.peerAsn)
    return notification(ERROR.open, OPEN_ERROR.badIdentifier);
  if (commonFamilies(config, open).length > 0) return undefined;
  // RFC 5492 section 5: the data name the capabilities that are missed.
  const missed = config.families.flatMap((f) => [1, 4, 0, AFI_OF[f], 0, SAFI_UNICAST]);
  return notification(ERROR.open, OPEN_ERROR.unsupportedCapability, Uint8Array.from(missed));
}

/**
 * Of two connections the one survives that the side with the higher BGP identifier (RFC 4271
 * section 6.8; if equal, the higher AS number: RFC 6286) has opened. Undefined: no collision yet.
 */
export function collisionLoser(
  session: Session,
  connection: Connection,
  peer: Open,
): Connection | undefined {
  const other = session.connections.find((c) => c !== connection && c.state === 'openConfirm');
  if (!other) return undefined;
  return connection.incoming === peerWins(session.config, peer) ? other : connection;
}

function peerWins(config: SessionConfig, peer: Open): boolean {
  const [ours, theirs] = [valueOfIp(config.routerId), valueOfIp(peer.routerId)];
  return ours === theirs ? config.localAsn < peer.asn : ours < theirs;
}

// A peer without the capability speaks IPv4 (RFC 4760 section 8).
function commonFamilies(config: SessionConfig, peer: Open): readonly Family[] {
  const offered = peer.capabilities.flatMap((c) => (c.kind === 'multiprotocol' ? [c.family] : []));
  const theirs: readonly Family[] = offered.length > 0 ? offered : [4];
  return config.families.filter((family) => theirs.includes(family));
}

/** What follows from our OPEN and the peer's. */
export function negotiate(config: SessionConfig, peer: Open): Negotiated {
  const families = commonFamilies(config, peer);
  const has = (kind: Capability['kind']): boolean => peer.capabilities.some((c) => c.kind === kind);
  const addPath = config.addPath
    ? peer.capabilities.flatMap((c) => (c.kind === 'addPath' ? c.families : []))
    : [];
  const withPaths = (does: 'send' | 'receive'): readonly Family[] =>
    families.filter((family) => addPath.some((f) => f.family === family && f[does]));
  return {
    families,
    fourOctetAs: has('fourOctetAs'),
    extendedMessage: has('extendedMessage'),
    routeRefresh: has('routeRefresh'),
    enhancedRefresh: has('enhancedRefresh'),
    addPathReceive: withPaths('send'),
    addPathSend: withPaths('receive'),
    extendedNextHop: config.extendedNextHop && families.includes(4) && has('extendedNextHop'),
    ...(config.gracefulRestart ? restartOf(config.gracefulRestart, peer, families) : {}),
    holdTimeSeconds: Math.min(config.holdTimeSeconds, peer.holdTimeSeconds),
    peerAsn: peer.asn,
    peerRouterId: peer.routerId,
  };
}

// Of several the last counts (RFC 4724 section 3). Long-lived routes need both (RFC 9494 section 3).
function restartOf(
  ours: OurRestart,
  peer: Open,
  families: readonly Family[],
): Pick<Negotiated, 'gracefulRestart' | 'longLived'> {
  const restart = peer.capabilities.findLast((c) => c.kind === 'gracefulRestart');
  if (!restart) return {};
  const agreed = <T extends PreservedFamily>(all: readonly T[]): readonly T[] =>
    all.filter(({ family }) => families.includes(family));
  const { restartSeconds, restarting } = restart;
  const notifies = restart.notifies && ours.notifies;
  const lives = peer.capabilities.findLast((c) => c.kind === 'longLived');
  return {
    gracefulRestart: { restartSeconds, restarting, notifies, families: agreed(restart.families) },
    ...(lives ? { longLived: agreed(lives.families) } : {}),
  };
}

/** Why a connection ended. */
export type Ending =
  /** TCP broke, or the peer came anew beside it. */
  | { readonly kind: 'lost' }
  /** One side said why. */
  | { readonly kind: 'notified'; readonly hard: boolean }
  /** Nothing was heard of the peer, it took nothing, or BFD says that it cannot be reached. */
  | { readonly kind: 'silent' };

/**
 * Whether what the peer told stays, stale, until it is back: after a restart without a word (RFC
 * 4724 section 4.2), and after a NOTIFICATION or silence when both sides want that (RFC 8538
 * section 4.1).
 */
export function keptAfter(negotiated: Negotiated, ending: Ending): Kept {
  const { gracefulRestart: restart, longLived = [] } = negotiated;
  if (!restart || restart.families.length + longLived.length === 0) return 'nothing';
  switch (ending.kind) {
    case 'lost':
      return 'all';
    case 'notified':
      return restart.notifies && !ending.hard ? 'all' : 'nothing';
    case 'silent':
      return restart.notifies ? 'beyond' : 'nothing';
  }
}
