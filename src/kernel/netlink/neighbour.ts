// Permanent neighbours (RTM_NEWNEIGH) and parameters of a link's neighbour table (RTM_SETNEIGHTBL;
// linux/neighbour.h).
import { bytesOfIp, familyOf, type Ip, ipFromBytes } from '../../net/ip.ts';
import { bytesOfMac, type Mac, macFromBytes } from '../../net/mac.ts';
import type { Encoded } from './link.ts';
import { attributesOf, type Message, NLM } from './message.ts';

const RTM_NEWNEIGH = 28;
const RTM_SETNEIGHTBL = 67;
const NDTA = { NAME: 1, PARMS: 6 } as const;
const NDTPA = { IFINDEX: 1, PROXY_DELAY: 13 } as const;
const NDA = { DST: 1, LLADDR: 2 } as const;
const PERMANENT = 0x80;
/** struct ndmsg. */
const BODY_BYTES = 12;
const AF = { 4: 2, 6: 10 } as const;

export interface Neighbour {
  readonly linkIndex: number;
  readonly ip: Ip;
  readonly mac: Mac;
}

export const encodeSetNeighbour =
  ({ linkIndex, ip, mac }: Neighbour): Encoded =>
  (w, sequence) =>
    void w.message(RTM_NEWNEIGH, NLM.REQUEST | NLM.ACK | NLM.CREATE | NLM.REPLACE, sequence, () => {
      w.u8(AF[familyOf(ip)]).u8(0).u16(0).u32(linkIndex).u16(PERMANENT).u8(0).u8(0);
      w.attribute(NDA.DST, bytesOfIp(ip)).attribute(NDA.LLADDR, bytesOfMac(mac));
    });

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
export function decodeNeighbour({ body }: Message): Neighbour | undefined {
  const attributes = attributesOf(body, BODY_BYTES);
  const [ip, mac] = [attributes.get(NDA.DST), attributes.get(NDA.LLADDR)];
  if ((ip?.length !== 4 && ip?.length !== 16) || mac?.length !== 6) return undefined;
  if (!(body.readUInt16LE(8) & PERMANENT)) return undefined;
  return { linkIndex: body.readUInt32LE(4), ip: ipFromBytes(ip), mac: macFromBytes(mac) };
}
