// The packet log as netlink messages (linux/netfilter/nfnetlink_log.h). Numbers in attributes are
// big-endian.
import type { Encoded } from '../netlink/link.ts';
import { attributesOf, type Message, NLM, textOf } from '../netlink/message.ts';

const SUBSYSTEM = 4 << 8;
const MSG = { PACKET: SUBSYSTEM, CONFIG: SUBSYSTEM | 1 } as const;
const CFG = { CMD: 1, MODE: 2, TIMEOUT: 4, QTHRESH: 5, FLAGS: 6 } as const;
const ATTRIBUTE = { PAYLOAD: 9, PREFIX: 10, SEQUENCE: 12 } as const;
const CMD_BIND = 1;
const COPY_PACKET = 2;
const FLAG_SEQUENCE = 1;
/** struct nfgenmsg. */
const BODY_BYTES = 4;
/** Headers, and ports behind IPv6 extensions. */
const COPIED_BYTES = 128;
/** The kernel gathers so many packets for one datagram, for so many hundredths of a second. */
const QUEUE = { packets: 64, hundredths: 10 };

/** A packet that a rule has told of. */
export interface LoggedPacket {
  readonly prefix: string;
  /** From the network header on, cut. */
  readonly payload: Buffer;
  /** Counts the packets of the group; a gap: the kernel had no room for some. */
  readonly sequence: number | undefined;
}

function config(group: number, type: number, value: Uint8Array): Encoded {
  return (w, sequence) =>
    void w.message(MSG.CONFIG, NLM.REQUEST | NLM.ACK, sequence, () =>
      w
        .u8(0)
        .u8(0)
        .u8(group >> 8)
        .u8(group & 255)
        .attribute(type, value),
    );
}

function bigEndian(bytes: 2 | 4, value: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

/** What makes the socket hear of a group's packets; each is to be acknowledged. */
export const encodeListen = (group: number): readonly Encoded[] => [
  config(group, CFG.CMD, Uint8Array.of(CMD_BIND)),
  config(
    group,
    CFG.MODE,
    Buffer.concat([bigEndian(4, COPIED_BYTES), Uint8Array.of(COPY_PACKET, 0)]),
  ),
  config(group, CFG.QTHRESH, bigEndian(4, QUEUE.packets)),
  config(group, CFG.TIMEOUT, bigEndian(4, QUEUE.hundredths)),
  config(group, CFG.FLAGS, bigEndian(2, FLAG_SEQUENCE)),
];

/** Undefined: another message. `payload` is a view of the datagram. */
export function loggedPacketOf({ type, body }: Message): LoggedPacket | undefined {
  if (type !== MSG.PACKET) return undefined;
  const attributes = attributesOf(body, BODY_BYTES);
  const sequence = attributes.get(ATTRIBUTE.SEQUENCE);
  return {
    prefix: textOf(attributes.get(ATTRIBUTE.PREFIX)),
    payload: attributes.get(ATTRIBUTE.PAYLOAD) ?? Buffer.alloc(0),
    sequence: sequence && sequence.length >= 4 ? sequence.readUInt32BE(0) : undefined,
  };
}
