// Addresses (RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR; linux/if_addr.h).
import { bytesOfIp, familyOf, type Ip, ipFromBytes } from '../../net/ip.ts';
import type { InterfaceAddressOfLink } from '../kernel.ts';
import type { Encoded } from './link.ts';
import { attributesOf, type Message, NLM } from './message.ts';

export const RTM_ADDRESS = { NEW: 20, DELETE: 21, GET: 22 } as const;
const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
const IFA_F_NODAD = 2;
/** struct ifaddrmsg. */
const BODY_BYTES = 8;
const SCOPE = { global: 0, link: 253, host: 254 } as const;
const AF = { 4: 2, 6: 10 } as const;

export interface AddressOfLink {
  readonly linkIndex: number;
  readonly ip: Ip;
  readonly prefixLength: number;
  /** Absent: global. The kernel knows that of an IPv6 address by itself. */
  readonly scope?: 'global' | 'link';
}

function addressMessage(type: number, flags: number, a: AddressOfLink): Encoded {
  return (w, sequence) =>
    void w.message(type, flags, sequence, () => {
      const bytes = bytesOfIp(a.ip);
      w.u8(AF[familyOf(a.ip)])
        .u8(a.prefixLength)
        .u8(0)
        .u8(SCOPE[a.scope ?? 'global'])
        .u32(a.linkIndex);
      w.attribute(IFA.LOCAL, bytes).attribute(IFA.ADDRESS, bytes);
      if (familyOf(a.ip) === 6) w.attribute32(IFA.FLAGS, IFA_F_NODAD);
    });
}

export const encodeAddAddress = (a: AddressOfLink): Encoded =>
  addressMessage(RTM_ADDRESS.NEW, NLM.REQUEST | NLM.ACK | NLM.CREATE | NLM.EXCL, a);

export const encodeDeleteAddress = (a: AddressOfLink): Encoded =>
  addressMessage(RTM_ADDRESS.DELETE, NLM.REQUEST | NLM.ACK, a);

export const encodeDumpAddresses: Encoded = (w, sequence) =>
  void w.message(RTM_ADDRESS.GET, NLM.REQUEST | NLM.DUMP, sequence, () =>
    w.u8(0).u8(0).u8(0).u8(0).u32(0),
  );

/** Undefined for families other than IPv4 and IPv6. */
export function decodeAddress({ body }: Message): InterfaceAddressOfLink | undefined {
  const attributes = attributesOf(body, BODY_BYTES);
  // On a point-to-point link ADDRESS is the other end; LOCAL is ours.
  const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS);
  if (bytes?.length !== 4 && bytes?.length !== 16) return undefined;
  const scope = body.readUInt8(3);
  return {
    linkIndex: body.readUInt32LE(4),
    ip: ipFromBytes(bytes),
    prefixLength: body.readUInt8(1),
    scope: scope === SCOPE.link ? 'link' : scope === SCOPE.host ? 'host' : 'global',
  };
}
