// A connection's first packet, as far as rules look at it.
import { type Family, familyOf, type Ip } from '../../net/ip.ts';

export interface Packet {
  readonly source: Ip;
  /** Of the same family. */
  readonly destination: Ip;
  /** Lower-case name or number; see `protocolNumber`. */
  readonly protocol: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly icmp?: { readonly type: number; readonly code: number };
}

export type Side = 'source' | 'destination';

const NUMBERS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};

/** IANA's number of a protocol that a rule may name; undefined: no such protocol. */
export function protocolNumber(text: string): number | undefined {
  const name = text.toLowerCase();
  if (Object.hasOwn(NUMBERS, name)) return NUMBERS[name];
  const number = Number(text);
  return /^\d{1,3}$/.test(text) && number >= 1 && number <= 255 ? number : undefined;
}

/** How a set of named ports calls a protocol; undefined: it holds none of it. */
export const portProtocolOf = (text: string): 'tcp' | 'udp' | 'sctp' | undefined =>
  (['tcp', 'udp', 'sctp'] as const).find((name) => NUMBERS[name] === protocolNumber(text));

export const familyOfPacket = ({ source }: Packet): Family => familyOf(source);

export const portOf = (packet: Packet, side: Side): number | undefined =>
  side === 'source' ? packet.sourcePort : packet.destinationPort;
