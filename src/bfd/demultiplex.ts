// Which session a packet is for (RFC 5880 section 6.3, RFC 5881 section 3, RFC 5883 section 4.1).
import type { Ip } from '../net/ip.ts';
import type { ControlPacket } from './packet.ts';

/** Ports that packets are sent to. */
export const BFD_PORT = { singleHop: 3784, multihop: 4784 } as const;
/** Ports that they are sent from (RFC 5881 section 4). */
export const SOURCE_PORTS = { first: 49152, last: 65535 } as const;
/** RFC 5881 section 5: what was sent with the highest TTL and still has it passed no router. */
export const TTL_MAX = 255;

/** The two ends of a session, and whether routers may lie between them. */
export interface Path {
  readonly localAddress: Ip;
  readonly remoteAddress: Ip;
  readonly multihop: boolean;
}

/** Unlike for each session: there is one on a path (RFC 5880 section 6). */
export const pathKey = ({ localAddress, remoteAddress, multihop }: Path): string =>
  `${localAddress} ${remoteAddress}${multihop ? ' multihop' : ''}`;

export interface SessionIndex<S> {
  readonly byDiscriminator: ReadonlyMap<number, S>;
  readonly byPath: ReadonlyMap<string, S>;
}

/**
 * A peer that knows our discriminator is believed by it alone, wherever it sends from; else its
 * address decides. Only what came to the session's own port and address is taken: a session of one
 * hop must not be reached through the port that takes any TTL.
 */
export function select<S extends { readonly path: Path }>(
  { yourDiscriminator }: Pick<ControlPacket, 'yourDiscriminator'>,
  arrival: Path,
  index: SessionIndex<S>,
): S | undefined {
  if (yourDiscriminator === 0) return index.byPath.get(pathKey(arrival));
  const session = index.byDiscriminator.get(yourDiscriminator);
  const { localAddress, multihop } = arrival;
  const isHere = session?.path.localAddress === localAddress && session.path.multihop === multihop;
  return isHere ? session : undefined;
}
