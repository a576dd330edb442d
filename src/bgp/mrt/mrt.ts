// A routing table in the MRT format (RFC 6396, TABLE_DUMP_V2; RFC 8050 where paths have identifiers), which
// bgpdump, GoBGP and the tools of the route collectors read.
//
//   | timestamp (4) | type 13 (2) | subtype (2) | length (4) | record ... |
import { type Cidr, cidrFamily, networkOf, prefixLengthOf } from '../../net/cidr.ts';
import { bytesOfIp, familyOf, type Ip } from '../../net/ip.ts';
import { attribute, encodeAttributes, type PathAttributes, TYPE } from '../codec/attributes.ts';
import { u16, u32 } from '../codec/reader.ts';

const TABLE_DUMP_V2 = 13;
const SUBTYPE = {
  peerIndexTable: 1,
  rib: { 4: 2, 6: 4 },
  ribWithPathIds: { 4: 8, 6: 10 },
} as const;
/** Of a peer: its address is of IPv6; its AS number has 4 octets. */
const PEER_TYPE = { ipv6: 1, wideAs: 2 } as const;

/** Whose routes the dump holds. */
export interface MrtPeer {
  readonly routerId: Ip;
  readonly address: Ip;
  readonly asn: number;
}

export interface MrtPath {
  /** Place of its peer in the peer index table. */
  readonly peer: number;
  /** 0: it has none (RFC 7911). */
  readonly pathId: number;
  /** Since when it is held, in seconds of Unix time. */
  readonly since: number;
  readonly attributes: PathAttributes;
  readonly nextHop: Ip;
}

function record(time: number, subtype: number, body: readonly number[]): Uint8Array {
  const header = [...u32(time), ...u16(TABLE_DUMP_V2), ...u16(subtype), ...u32(body.length)];
  return Uint8Array.from([...header, ...body]);
}

/** The first record; `time` in seconds of Unix time. */
export function encodePeerIndexTable(
  time: number,
  routerId: Ip,
  viewName: string,
  peers: readonly MrtPeer[],
): Uint8Array {
  const name = [...new TextEncoder().encode(viewName)];
  return record(time, SUBTYPE.peerIndexTable, [
    ...bytesOfIp(routerId),
    ...u16(name.length),
    ...name,
    ...u16(peers.length),
    ...peers.flatMap(encodePeer),
  ]);
}

const encodePeer = ({ routerId, address, asn }: MrtPeer): readonly number[] => [
  PEER_TYPE.wideAs | (familyOf(address) === 6 ? PEER_TYPE.ipv6 : 0),
  ...bytesOfIp(routerId),
  ...bytesOfIp(address),
  ...u32(asn),
];

/** All paths to one prefix; `sequence` counts the records of a dump from 0. */
export function encodeRib(
  time: number,
  sequence: number,
  prefix: Cidr,
  paths: readonly MrtPath[],
): Uint8Array {
  const family = cidrFamily(prefix);
  const withIds = paths.some(({ pathId }) => pathId !== 0);
  const length = prefixLengthOf(prefix);
  return record(time, (withIds ? SUBTYPE.ribWithPathIds : SUBTYPE.rib)[family], [
    ...u32(sequence),
    length,
    ...bytesOfIp(networkOf(prefix)).subarray(0, (length + 7) >> 3),
    ...u16(paths.length),
    ...paths.flatMap(({ peer, since, pathId, attributes, nextHop }) => {
      const octets = attributesOf(attributes, nextHop);
      const id = withIds ? u32(pathId) : [];
      return [...u16(peer), ...u32(since), ...id, ...u16(octets.length), ...octets];
    }),
  ]);
}

// RFC 6396 section 4.3.4: AS numbers have 4 octets, and of MP_REACH_NLRI only the next hop is there.
function attributesOf(attributes: PathAttributes, nextHop: Ip): readonly number[] {
  if (familyOf(nextHop) === 4) return encodeAttributes(attributes, nextHop, true);
  const bytes = [...bytesOfIp(nextHop)];
  const reach = attribute(TYPE.mpReach, [bytes.length, ...bytes]);
  const all = encodeAttributes(attributes, undefined, true);
  return [...all, ...reach];
}
