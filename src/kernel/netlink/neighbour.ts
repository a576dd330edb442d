// Permanent neighbours and forwarding entries of VXLAN devices (RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH),
// and parameters of a link's neighbour table (RTM_SETNEIGHTBL; linux/neighbour.h).
import { bytesOfIp, type Family, familyOf, ipFromBytes } from '../../net/ip.ts';
import { bytesOfMac, macFromBytes } from '../../net/mac.ts';
import type { ForwardingEntry, KernelEvent, Neighbour } from '../kernel.ts';
import type { Encoded } from './link.ts';
import { attributesOf, type Message, NLM } from './message.ts';

export const RTM_NEIGHBOUR = { NEW: 28, DELETE: 29, GET: 30 } as const;
const RTM_SETNEIGHTBL = 67;
const NDTA = { NAME: 1, PARMS: 6 } as const;
const NDTPA = { IFINDEX: 1, PROXY_DELAY: 13 } as const;
const NDA = { DST: 1, LLADDR: 2, IFINDEX: 8 } as const;
const PERMANENT = 0x80;
/** struct ndmsg. */
const BODY_BYTES = 12;
const AF = { 4: 2, 6: 10 } as const;
const AF_BRIDGE = 7;
/** The entry is the device's own, not a bridge's (NTF_SELF). */
const OF_DEVICE = 2;

const CHANGED = NLM.REQUEST | NLM.ACK;

export const encodeSetNeighbour =
  ({ linkIndex, ip, mac }: Neighbour): Encoded =>
  (w, sequence) =>
    void w.message(RTM_NEIGHBOUR.NEW, CHANGED | NLM.CREATE | NLM.REPLACE, sequence, () => {
      w.u8(AF[familyOf(ip)]).u8(0).u16(0).u32(linkIndex).u16(PERMANENT).u8(0).u8(0);
      w.attribute(NDA.DST, bytesOfIp(ip)).attribute(NDA.LLADDR, bytesOfMac(mac));
    });

export const encodeDeleteNeighbour =
  ({ linkIndex, ip }: Pick<Neighbour, 'linkIndex' | 'ip'>): Encoded =>
  (w, sequence) =>
    void w.message(RTM_NEIGHBOUR.DELETE, CHANGED, sequence, () => {
      w.u8(AF[familyOf(ip)]).u8(0).u16(0).u32(linkIndex).u16(0).u8(0).u8(0);
      w.attribute(NDA.DST, bytesOfIp(ip));
    });

const forwardingMessage =
  (type: number, flags: number, { linkIndex, mac, remote }: ForwardingEntry): Encoded =>
  (w, sequence) =>
    void w.message(type, flags, sequence, () => {
      w.u8(AF_BRIDGE).u8(0).u16(0).u32(linkIndex).u16(PERMANENT).u8(OF_DEVICE).u8(0);
      w.attribute(NDA.LLADDR, bytesOfMac(mac)).attribute(NDA.DST, bytesOfIp(remote));
    });

export const encodeSetForwarding = (entry: ForwardingEntry): Encoded =>
  forwardingMessage(RTM_NEIGHBOUR.NEW, CHANGED | NLM.CREATE | NLM.REPLACE, entry);
export const encodeDeleteForwarding = (entry: ForwardingEntry): Encoded =>
  forwardingMessage(RTM_NEIGHBOUR.DELETE, CHANGED, entry);

const dumpMessage =
  (family: number, linkIndex: number): Encoded =>
  (w, sequence) =>
    void w.message(RTM_NEIGHBOUR.GET, NLM.REQUEST | NLM.DUMP, sequence, () => {
      w.u8(family).u8(0).u16(0).u32(0).u16(0).u8(0).u8(0);
      w.attribute32(NDA.IFINDEX, linkIndex);
    });

export const encodeDumpNeighbours = (family: Family, linkIndex: number): Encoded =>
  dumpMessage(AF[family], linkIndex);
export const encodeDumpForwarding = (linkIndex: number): Encoded =>
  dumpMessage(AF_BRIDGE, linkIndex);

export interface ProxyDelay {
  readonly linkIndex: number;
  readonly milliseconds: number;
}

export const encodeSetProxyDelay =
  ({ linkIndex, milliseconds }: ProxyDelay): Encoded =>
  (w, sequence) =>
    void w.message(RTM_SETNEIGHTBL, NLM.REQUEST | NLM.ACK, sequence, () => {
      w.u8(AF[4]).u8(0).u16(0).attributeText(NDTA.NAME, 'arp_cache');
      w.nested(NDTA.PARMS, () =>
        w
          .attribute32(NDTPA.IFINDEX, linkIndex)
          .u16(12)
          .u16(NDTPA.PROXY_DELAY)
          .u32(milliseconds)
          .u32(0),
      );
    });

/** Undefined where there is no address or no hardware address of six bytes, and when not permanent. */
export function decodeNeighbour(message: Message): Neighbour | undefined {
  const { family, ip, mac, linkIndex, permanent } = partsOf(message);
  if (family === AF_BRIDGE || !permanent || !ip || !mac) return undefined;
  return { linkIndex, ip, mac };
}

/** Undefined for a bridge's entries, and those without a remote address. */
export function decodeForwarding(message: Message): ForwardingEntry | undefined {
  const { family, ip, mac, linkIndex, flags } = partsOf(message);
  if (family !== AF_BRIDGE || !(flags & OF_DEVICE) || !ip || !mac) return undefined;
  return { linkIndex, mac, remote: ip };
}

/** What the kernel tells of a neighbour or a forwarding entry. */
export function neighbourEvent(message: Message): KernelEvent | undefined {
  const deleted = message.type === RTM_NEIGHBOUR.DELETE;
  const entry = decodeForwarding(message);
  if (entry) return { kind: 'forwarding', entry, gone: deleted };
  const { family, ip, mac, linkIndex, permanent } = partsOf(message);
  if (family === AF_BRIDGE || !ip) return undefined;
  return { kind: 'neighbour', neighbour: { linkIndex, ip, mac }, gone: deleted || !permanent };
}

function partsOf({ body }: Message) {
  const attributes = attributesOf(body, BODY_BYTES);
  const [ip, mac] = [attributes.get(NDA.DST), attributes.get(NDA.LLADDR)];
  return {
    family: body.readUInt8(0),
    linkIndex: body.readUInt32LE(4),
    permanent: (body.readUInt16LE(8) & PERMANENT) !== 0,
    flags: body.readUInt8(10),
    ip: ip?.length === 4 || ip?.length === 16 ? ipFromBytes(ip) : undefined,
    mac: mac?.length === 6 ? macFromBytes(mac) : undefined,
  };
}
