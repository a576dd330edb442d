// Links (RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK; linux/if_link.h).
import { bytesOfMac, type Mac, macFromBytes } from '../../net/mac.ts';
import type { Ipv4Settings, Link } from '../kernel.ts';
import { attributesOf, type Message, type MessageWriter, NLM, textOf } from './message.ts';
import { decodeVxlan } from './vxlan.ts';

export const RTM_LINK = { NEW: 16, DELETE: 17, GET: 18 } as const;
const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  LINKINFO: 18,
  AF_SPEC: 26,
  GROUP: 27,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  TX_QUEUES: 31,
  RX_QUEUES: 32,
} as const;
/** A link has some sixty. */
const DECODED: ReadonlySet<number> = new Set([
  IFLA.ADDRESS,
  IFLA.IFNAME,
  IFLA.MTU,
  IFLA.LINK,
  IFLA.LINKINFO,
]);
const INFO = { KIND: 1, DATA: 2 } as const;
const VETH_PEER = 1;
const IFF_UP = 1;
const AF = { INET: 2 } as const;
/** RTEXT_FILTER_SKIP_STATS. */
const SKIP_STATISTICS = 8;
/** struct ifinfomsg. */
const BODY_BYTES = 16;

/** A change ready to be written with its sequence number. */
export type Encoded = (writer: MessageWriter, sequence: number) => void;

const ACKED = NLM.REQUEST | NLM.ACK;

function linkBody(w: MessageWriter, index: number, flags = 0, change = 0): MessageWriter {
  return w.u8(0).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

export interface VethMessage {
  readonly name: string;
  readonly peer: string;
  /** Open descriptor of the peer's namespace. */
  readonly peerNetnsFd: number;
  readonly mtu: number;
  readonly peerMac?: Mac | undefined;
}

// IFF_UP on the peer inside this message would give ENOTCONN: it comes up afterwards. One queue is what
// a pair uses; made with one a processor, the kernel would shrink it and wait for an RCU grace period.
export const encodeVeth =
  (veth: VethMessage): Encoded =>
  (w, sequence) =>
    void w.message(RTM_LINK.NEW, ACKED | NLM.CREATE | NLM.EXCL, sequence, () => {
      linkBody(w, 0).attributeText(IFLA.IFNAME, veth.name).attribute32(IFLA.MTU, veth.mtu);
      w.attribute32(IFLA.TX_QUEUES, 1).attribute32(IFLA.RX_QUEUES, 1);
      w.nested(IFLA.LINKINFO, () => {
        w.attribute(INFO.KIND, Buffer.from('veth'));
        w.nested(INFO.DATA, () =>
          w.nested(VETH_PEER, () => {
            linkBody(w, 0).attributeText(IFLA.IFNAME, veth.peer).attribute32(IFLA.MTU, veth.mtu);
            w.attribute32(IFLA.TX_QUEUES, 1).attribute32(IFLA.RX_QUEUES, 1);
            if (veth.peerMac) w.attribute(IFLA.ADDRESS, bytesOfMac(veth.peerMac));
            w.attribute32(IFLA.NET_NS_FD, veth.peerNetnsFd);
          }),
        );
      });
    });

/**
 * Without a remote address it is the device of all tunnels (`tunl0`), which the module brings by itself:
 * the kernel loads that because somebody asks for the kind, and then says EEXIST.
 */
export const encodeIpip = (name: string): Encoded => encodeNewLink({ name, kind: 'ipip' });

export interface NewLink {
  readonly name: string;
  readonly kind: string;
  readonly mac?: Uint8Array;
  readonly mtu?: number;
}

/** A link of a kind, with what the kind wants to know. */
export const encodeNewLink =
  ({ name, kind, mac, mtu }: NewLink, data?: (w: MessageWriter) => void): Encoded =>
  (w, sequence) =>
    void w.message(RTM_LINK.NEW, ACKED | NLM.CREATE | NLM.EXCL, sequence, () => {
      linkBody(w, 0).attributeText(IFLA.IFNAME, name);
      if (mac) w.attribute(IFLA.ADDRESS, mac);
      if (mtu !== undefined) w.attribute32(IFLA.MTU, mtu);
      w.nested(IFLA.LINKINFO, () => {
        w.attribute(INFO.KIND, Buffer.from(kind));
        if (data) w.nested(INFO.DATA, () => data(w));
      });
    });

export interface LinkSetting {
  readonly index: number;
  readonly up?: boolean | undefined;
  readonly mac?: Mac | undefined;
  readonly mtu?: number | undefined;
  readonly group?: number | undefined;
  readonly ipv4?: Ipv4Settings | undefined;
}

/** IFLA_INET_CONF and the numbers of its settings (linux/ip.h). */
const INET_CONF = 1;
const IPV4_DEVCONF = { FORWARDING: 1, PROXY_ARP: 3, RP_FILTER: 8 } as const;

function writeIpv4(w: MessageWriter, { forwarding, proxyArp, rpFilter }: Ipv4Settings): void {
  w.nested(IFLA.AF_SPEC, () =>
    w.nested(AF.INET, () =>
      w.nested(INET_CONF, () =>
        w
          .attribute32(IPV4_DEVCONF.FORWARDING, Number(forwarding))
          .attribute32(IPV4_DEVCONF.PROXY_ARP, Number(proxyArp))
          .attribute32(IPV4_DEVCONF.RP_FILTER, rpFilter),
      ),
    ),
  );
}

export const encodeSetLink =
  ({ index, up, mac, mtu, group, ipv4 }: LinkSetting): Encoded =>
  (w, sequence) =>
    void w.message(RTM_LINK.NEW, ACKED, sequence, () => {
      linkBody(w, index, up ? IFF_UP : 0, up === undefined ? 0 : IFF_UP);
      if (mac) w.attribute(IFLA.ADDRESS, bytesOfMac(mac));
      if (mtu !== undefined) w.attribute32(IFLA.MTU, mtu);
      if (group !== undefined) w.attribute32(IFLA.GROUP, group);
      if (ipv4) writeIpv4(w, ipv4);
    });

export const encodeDeleteLinkGroup =
  (group: number): Encoded =>
  (w, sequence) =>
    void w.message(RTM_LINK.DELETE, ACKED, sequence, () =>
      linkBody(w, 0).attribute32(IFLA.GROUP, group),
    );

export const encodeDeleteLink =
  (name: string): Encoded =>
  (w, sequence) =>
    void w.message(RTM_LINK.DELETE, ACKED, sequence, () =>
      linkBody(w, 0).attributeText(IFLA.IFNAME, name),
    );

export const encodeGetLink =
  (name: string): Encoded =>
  (w, sequence) =>
    void w.message(RTM_LINK.GET, NLM.REQUEST, sequence, () =>
      linkBody(w, 0).attributeText(IFLA.IFNAME, name).attribute32(IFLA.EXT_MASK, SKIP_STATISTICS),
    );

export const encodeDumpLinks: Encoded = (w, sequence) =>
  void w.message(RTM_LINK.GET, NLM.REQUEST | NLM.DUMP, sequence, () =>
    linkBody(w, 0).attribute32(IFLA.EXT_MASK, SKIP_STATISTICS),
  );

/** Undefined for what is said of a bridge's port: there "deleted" means that it left the bridge. */
export function decodeLink({ body }: Message): Link | undefined {
  if (body.readUInt8(0) !== 0) return undefined;
  const attributes = attributesOf(body, BODY_BYTES, DECODED);
  const info = attributes.get(IFLA.LINKINFO);
  const infos = info && attributesOf(info);
  const kind = textOf(infos?.get(INFO.KIND));
  const data = infos?.get(INFO.DATA);
  const address = attributes.get(IFLA.ADDRESS);
  const index = body.readInt32LE(4);
  // Left out by kernels where both ends have the same index.
  const peerIndex =
    kind === 'veth' ? (attributes.get(IFLA.LINK)?.readInt32LE(0) ?? index) : undefined;
  return {
    index,
    name: textOf(attributes.get(IFLA.IFNAME)),
    kind: kind || undefined,
    mac: address?.length === 6 ? macFromBytes(address) : undefined,
    mtu: attributes.get(IFLA.MTU)?.readUInt32LE(0) ?? 0,
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    peerIndex,
    ...(kind === 'vxlan' && data ? { vxlan: decodeVxlan(data) } : {}),
  };
}
