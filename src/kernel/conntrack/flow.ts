// Flows of connection tracking as netlink messages (linux/netfilter/nfnetlink_conntrack.h).
import { bytesOfIp, type Ip, ipFromBytes } from '../../net/ip.ts';
import type { Encoded } from '../netlink/link.ts';
import { attributesOf, type Message, NLM } from '../netlink/message.ts';

const SUBSYSTEM = 1 << 8;
/** IPCTNL_MSG_CT_NEW is also what a dump answers with. */
export const CT = { NEW: SUBSYSTEM, GET: SUBSYSTEM | 1, DELETE: SUBSYSTEM | 2 } as const;
const CTA = {
  TUPLE_ORIG: 1,
  TUPLE_REPLY: 2,
  STATUS: 3,
  PROTOINFO: 4,
  TIMEOUT: 7,
  ID: 12,
  TUPLE_MASTER: 14,
  ZONE: 18,
} as const;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO = {
  NUMBER: 1,
  SOURCE_PORT: 2,
  DESTINATION_PORT: 3,
  ICMP_TYPE: 5,
  ICMPV6_TYPE: 8,
} as const;
const CTA_PROTOINFO_TCP = 1;
const CTA_PROTOINFO_TCP_STATE = 1;
/** enum tcp_conntrack (linux/netfilter/nf_conntrack_tcp.h). */
const TCP_SYN_SENT = 1;
const TCP_TIME_WAIT = 7;
const TCP_CLOSE = 8;
/** Longer than TCP goes on repeating what nobody acknowledges (net.ipv4.tcp_retries2: 15 minutes). */
const CUT_SECONDS = 1200;
/** Status bit: another flow asked for it (FTP's data, for one). */
const IPS_EXPECTED = 1;
const CTA_IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
const NESTED = 0x8000;
/** struct nfgenmsg: family, version, resource. */
const BODY_BYTES = 4;

/** What names a flow to the kernel. */
export interface Flow {
  readonly family: number;
  /** The original direction, as the kernel gave it. */
  readonly tuple: Buffer;
  readonly id: Buffer | undefined;
  readonly zone: Buffer | undefined;
}

export const encodeDumpFlows =
  (family: number): Encoded =>
  (w, sequence) =>
    void w.message(CT.GET, NLM.REQUEST | NLM.DUMP, sequence, () => w.u8(family).u8(0).u16(0));

/** With its identity, so that a new flow of the same addresses and ports is not meant. */
export const encodeDeleteFlow =
  ({ family, tuple, id, zone }: Flow): Encoded =>
  (w, sequence) =>
    void w.message(CT.DELETE, NLM.REQUEST | NLM.ACK, sequence, () => {
      w.u8(family)
        .u8(0)
        .u16(0)
        .attribute(NESTED | CTA.TUPLE_ORIG, tuple);
      if (id) w.attribute(CTA.ID, id);
      if (zone) w.attribute(CTA.ZONE, zone);
    });

/**
 * In the place of a TCP flow that was deleted: one that has not got beyond its first SYN, to which
 * all that the caller goes on to send is invalid. Without it a packet of the other end would be
 * taken for the first of a flow in its own direction, and the connection would go on as that.
 */
export const encodeBar =
  ({ family, tuple, zone }: Flow, reply: Buffer): Encoded =>
  (w, sequence) =>
    void w.message(CT.NEW, NLM.REQUEST | NLM.ACK | NLM.CREATE | NLM.EXCL, sequence, () => {
      const timeout = Buffer.alloc(4);
      timeout.writeUInt32BE(CUT_SECONDS);
      w.u8(family)
        .u8(0)
        .u16(0)
        .attribute(NESTED | CTA.TUPLE_ORIG, tuple)
        .attribute(NESTED | CTA.TUPLE_REPLY, reply)
        .attribute(CTA.TIMEOUT, timeout)
        .nested(NESTED | CTA.PROTOINFO, () =>
          w.nested(NESTED | CTA_PROTOINFO_TCP, () =>
            w.attribute(CTA_PROTOINFO_TCP_STATE, Uint8Array.of(TCP_SYN_SENT)),
          ),
        );
      if (zone) w.attribute(CTA.ZONE, zone);
    });

/** An address as flows are searched for it. */
export const flowAddress = (ip: Ip): string => Buffer.from(bytesOfIp(ip)).toString('hex');

/** The flow of a dump's message, when one of its ends is among the addresses. */
export function flowOf({ body }: Message, addresses: ReadonlySet<string>): Flow | undefined {
  const attributes = attributesOf(body, BODY_BYTES);
  const tuple = attributes.get(CTA.TUPLE_ORIG);
  if (!tuple) return undefined;
  const reply = attributes.get(CTA.TUPLE_REPLY);
  if (!touches(tuple, addresses) && !(reply && touches(reply, addresses))) return undefined;
  // Views of the receive buffer, which the next read overwrites.
  const copy = (type: number): Buffer | undefined => {
    const bytes = attributes.get(type);
    return bytes && Buffer.from(bytes);
  };
  const [id, zone] = [copy(CTA.ID), copy(CTA.ZONE)];
  return { family: body.readUInt8(0), tuple: Buffer.from(tuple), id, zone };
}

/** A flow as policy sees it: who began it, and who it came to after DNAT. */
export interface Connection {
  readonly flow: Flow;
  /** The direction of the answers, as the kernel gave it. */
  readonly reply: Buffer;
  readonly source: Ip;
  readonly destination: Ip;
  /** IANA's number. */
  readonly protocol: number;
  /** 0: a protocol without ports. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp: { readonly type: number; readonly code: number } | undefined;
  /** It is part of another one, and goes by that one's rights. */
  readonly isRelated: boolean;
  /** Undefined: it is not TCP's. */
  readonly tcp: TcpStage | undefined;
}

/** Nothing but SYNs so far, what a bar looks like too; under way; ended by both sides or by a reset. */
export type TcpStage = 'opening' | 'open' | 'over';

/** The same as `flowOf`, read. */
export function connectionOf(
  message: Message,
  addresses: ReadonlySet<string>,
): Connection | undefined {
  const flow = flowOf(message, addresses);
  const attributes = attributesOf(message.body, BODY_BYTES);
  const reply = attributes.get(CTA.TUPLE_REPLY);
  if (!flow || !reply) return undefined;
  const [begun, answered] = [endsOf(flow.tuple), endsOf(reply)];
  if (!begun.source || !answered.source) return undefined;
  const status = attributes.get(CTA.STATUS)?.readUInt32BE(0) ?? 0;
  return {
    flow,
    reply: Buffer.from(reply),
    source: begun.source,
    // Before any DNAT the sender of answers is who was called.
    destination: answered.source,
    protocol: begun.protocol,
    sourcePort: begun.sourcePort,
    destinationPort: answered.sourcePort,
    icmp: begun.icmp,
    isRelated: (status & IPS_EXPECTED) !== 0 || attributes.has(CTA.TUPLE_MASTER),
    tcp: stageOf(attributes.get(CTA.PROTOINFO)),
  };
}

function stageOf(protocolInfo: Buffer | undefined): TcpStage | undefined {
  const tcp = protocolInfo && attributesOf(protocolInfo).get(CTA_PROTOINFO_TCP);
  if (!tcp) return undefined;
  const state = attributesOf(tcp).get(CTA_PROTOINFO_TCP_STATE)?.readUInt8(0);
  if (state === TCP_SYN_SENT) return 'opening';
  return state === TCP_TIME_WAIT || state === TCP_CLOSE ? 'over' : 'open';
}

/** Whom a flow called, before any DNAT. */
export function calledBy({ tuple }: Flow): { readonly ip: Ip; readonly port: number } | undefined {
  const { destination, destinationPort } = endsOf(tuple);
  return destination && { ip: destination, port: destinationPort };
}

function endsOf(tuple: Buffer) {
  const parts = attributesOf(tuple);
  const ips = attributesOf(parts.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const upper = attributesOf(parts.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  const source = ips.get(CTA_IP.V4_SRC) ?? ips.get(CTA_IP.V6_SRC);
  const destination = ips.get(CTA_IP.V4_DST) ?? ips.get(CTA_IP.V6_DST);
  const icmp = [CTA_PROTO.ICMP_TYPE, CTA_PROTO.ICMPV6_TYPE].find((type) => upper.has(type));
  const octet = (type: number): number => upper.get(type)?.readUInt8(0) ?? 0;
  return {
    source: source && ipFromBytes(source),
    destination: destination && ipFromBytes(destination),
    protocol: octet(CTA_PROTO.NUMBER),
    sourcePort: upper.get(CTA_PROTO.SOURCE_PORT)?.readUInt16BE(0) ?? 0,
    destinationPort: upper.get(CTA_PROTO.DESTINATION_PORT)?.readUInt16BE(0) ?? 0,
    icmp: icmp === undefined ? undefined : { type: octet(icmp), code: octet(icmp + 1) },
  };
}

function touches(tuple: Buffer, addresses: ReadonlySet<string>): boolean {
  const ends = attributesOf(attributesOf(tuple).get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  return Object.values(CTA_IP).some((type) => addresses.has(ends.get(type)?.toString('hex') ?? ''));
}
