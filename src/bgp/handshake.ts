// The exchange of OPENs: what we say, whom we refuse, and which of two connections survives.
import { type Family, valueOfIp } from '../net/ip.ts';
import { ERROR, type Notification, notification, OPEN_ERROR } from './codec/notification.ts';
import type { Capability, Open } from './codec/open.ts';
import type { Connection, Session, SessionConfig } from './session.ts';

export function ourOpen(config: SessionConfig): Open {
  const capabilities: Capability[] = [
    ...config.families.map((family) => ({ kind: 'multiprotocol', family }) as const),
    { kind: 'routeRefresh' },
    { kind: 'fourOctetAs', asn: config.localAsn },
  ];
  const { localAsn: asn, holdTimeSeconds, routerId } = config;
  return { kind: 'open', version: 4, asn, holdTimeSeconds, routerId, capabilities };
}

/** What an OPEN of the wrong peer is answered with (RFC 4271 section 6.2). */
export function refusalOf(config: SessionConfig, open: Open): Notification | undefined {
  if (open.asn !== config.peerAsn) return notification(ERROR.open, OPEN_ERROR.badPeerAs);
  if (open.routerId === config.routerId && config.localAsn === config.peerAsn)
    return notification(ERROR.open, OPEN_ERROR.badIdentifier);
  return undefined;
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

/** Families that both sides speak; a peer without the capability speaks IPv4 (RFC 4760). */
export function negotiatedFamilies(
  config: SessionConfig,
  peer: Open | undefined,
): readonly Family[] {
  const offered = (peer?.capabilities ?? []).flatMap((c) =>
    c.kind === 'multiprotocol' ? [c.family] : [],
  );
  const theirs: readonly Family[] = offered.length > 0 ? offered : [4];
  return config.families.filter((family) => theirs.includes(family));
}

/** Whether AS numbers travel in four octets on a session with this peer (RFC 6793). */
export const speaksFourOctetAs = (peer: Open | undefined): boolean =>
  peer?.capabilities.some((c) => c.kind === 'fourOctetAs') ?? false;
