// Who sends what to whom, from a packet's first octets (RFC 791, RFC 8200).
import { type Ip, ipFromBytes } from '../../net/ip.ts';

export interface PacketHeader {
  readonly source: Ip;
  readonly destination: Ip;
  /** IANA's number. */
  readonly protocol: number;
  /** TCP, UDP, SCTP, UDP-Lite. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** ICMP, ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number };
}

const PORTED = [6, 17, 132, 136];
const ICMP = [1, 58];
/** Hop-by-hop options, routing, destination options: length in units of 8 octets less one. */
const EXTENSIONS = [0, 43, 60];
const FRAGMENT = 44;

/** Undefined: cut short, or no IP. */
export function headerOf(packet: Buffer): PacketHeader | undefined {
  const version = packet.length > 0 ? packet.readUInt8(0) >> 4 : 0;
  if (version === 4 && packet.length >= 20) return ipv4Of(packet);
  if (version === 6 && packet.length >= 40) return ipv6Of(packet);
  return undefined;
}

function ipv4Of(packet: Buffer): PacketHeader {
  const isFirst = (packet.readUInt16BE(6) & 0x1fff) === 0;
  const upper = isFirst ? packet.subarray((packet.readUInt8(0) & 15) * 4) : Buffer.alloc(0);
  return {
    source: ipFromBytes(packet.subarray(12, 16)),
    destination: ipFromBytes(packet.subarray(16, 20)),
    ...upperOf(packet.readUInt8(9), upper),
  };
}

function ipv6Of(packet: Buffer): PacketHeader {
  let next = packet.readUInt8(6);
  let at = 40;
  let isFirst = true;
  while (at + 8 <= packet.length && (EXTENSIONS.includes(next) || next === FRAGMENT)) {
    if (next === FRAGMENT) isFirst = packet.readUInt16BE(at + 2) >> 3 === 0;
    const length = next === FRAGMENT ? 8 : 8 * (packet.readUInt8(at + 1) + 1);
    next = packet.readUInt8(at);
    at += length;
  }
  return {
    source: ipFromBytes(packet.subarray(8, 24)),
    destination: ipFromBytes(packet.subarray(24, 40)),
    ...upperOf(next, isFirst ? packet.subarray(at) : Buffer.alloc(0)),
  };
}

function upperOf(
  protocol: number,
  bytes: Buffer,
): Pick<PacketHeader, 'protocol' | 'sourcePort' | 'destinationPort' | 'icmp'> {
  if (PORTED.includes(protocol) && bytes.length >= 4) {
    const [sourcePort, destinationPort] = [bytes.readUInt16BE(0), bytes.readUInt16BE(2)];
    return { protocol, sourcePort, destinationPort };
  }
  if (ICMP.includes(protocol) && bytes.length >= 2)
    return { protocol, icmp: { type: bytes.readUInt8(0), code: bytes.readUInt8(1) } };
  return { protocol };
}
