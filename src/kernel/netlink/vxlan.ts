// VXLAN devices (IFLA_VXLAN_*; linux/if_link.h).
import { bytesOfIp, familyOf, ipFromBytes } from '../../net/ip.ts';
import { bytesOfMac, type Mac } from '../../net/mac.ts';
import type { VxlanSettings } from '../kernel.ts';
import { type Encoded, encodeNewLink } from './link.ts';
import { attributesOf, type MessageWriter } from './message.ts';

const VXLAN = { ID: 1, LINK: 3, LOCAL: 4, LEARNING: 7, PORT: 15, LOCAL6: 17 } as const;

export interface NewVxlan {
  readonly name: string;
  readonly mac: Mac;
  readonly mtu: number;
  readonly vxlan: VxlanSettings;
}

/** The kernel loads its module because somebody asks for the kind. */
export const encodeVxlan = ({ name, mac, mtu, vxlan }: NewVxlan): Encoded =>
  encodeNewLink({ name, mtu, mac: bytesOfMac(mac), kind: 'vxlan' }, (w) => writeVxlan(w, vxlan));

function writeVxlan(w: MessageWriter, { vni, port, local, parentIndex, learning }: VxlanSettings) {
  w.attribute32(VXLAN.ID, vni).attribute32(VXLAN.LINK, parentIndex);
  w.attribute(familyOf(local) === 4 ? VXLAN.LOCAL : VXLAN.LOCAL6, bytesOfIp(local));
  w.attribute(VXLAN.LEARNING, Uint8Array.of(Number(learning)));
  // In network order, unlike netlink's own numbers.
  w.attribute(VXLAN.PORT, Uint8Array.of(port >> 8, port & 255));
}

/** Undefined for a device without a local address. */
export function decodeVxlan(data: Buffer): VxlanSettings | undefined {
  const attributes = attributesOf(data);
  const local = attributes.get(VXLAN.LOCAL) ?? attributes.get(VXLAN.LOCAL6);
  if (local?.length !== 4 && local?.length !== 16) return undefined;
  return {
    vni: attributes.get(VXLAN.ID)?.readUInt32LE(0) ?? 0,
    port: attributes.get(VXLAN.PORT)?.readUInt16BE(0) ?? 0,
    local: ipFromBytes(local),
    parentIndex: attributes.get(VXLAN.LINK)?.readUInt32LE(0) ?? 0,
    learning: attributes.get(VXLAN.LEARNING)?.readUInt8(0) === 1,
  };
}
