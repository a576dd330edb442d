// Good messages to begin with, and what is done to them. All chance comes from the seed.
import { encodeAttributes, type PathAttributes } from '../../src/bgp/codec/attributes.ts';
import { encodeMessage, type Message } from '../../src/bgp/codec/message.ts';
import { notification } from '../../src/bgp/codec/notification.ts';
import { u16, u32 } from '../../src/bgp/codec/reader.ts';
import { shutdownData } from '../../src/bgp/codec/shutdown.ts';
import { endOfRib, type Update } from '../../src/bgp/codec/update.ts';
import { ourOpen } from '../../src/bgp/handshake.ts';
import { newSession, type SessionConfig } from '../../src/bgp/session.ts';
import type { Asn } from '../../src/net/asn.ts';
import { cidr } from '../../src/net/cidr.ts';
import { ip } from '../../src/net/ip.ts';

import type { Random } from '../simulation/random.ts';

const as = (n: number): Asn => n as Asn;
const MINIMAL: PathAttributes = { origin: 'igp', asPath: [], localPref: 100 };
const RICH: PathAttributes = {
  origin: 'incomplete',
  asPath: [
    { kind: 'sequence', asns: [as(65001), as(4200000000)] },
    { kind: 'set', asns: [as(65003), as(65004)] },
  ],
  med: 7,
  localPref: 200,
  atomicAggregate: true,
  aggregator: { asn: as(4200000000), address: ip('10.9.9.9') },
  communities: [0xfde90001, 0xffff0000],
  originatorId: ip('10.9.9.8'),
  clusterList: [0x01010101, 0x02020202],
  largeCommunities: [[65001, 1, 2]],
  unknown: [{ flags: 0xc0, type: 16, value: Uint8Array.from([0, 2, 253, 233, 0, 0, 0, 1]) }],
};
const V4 = ['192.168.1.0/26', '192.168.2.0/24', '10.1.0.0/16', '192.168.9.9/32'].map(cidr);
const V6 = ['fd00:10::/48', 'fd00:20::1/128', 'fd00:30::/64'].map(cidr);

const [HOP4, HOP6] = [ip('10.0.0.1'), ip('fd00::1')];
const update = (parts: Partial<Update>): Update => ({
  kind: 'update',
  withdrawn: [],
  announced: [],
  ...parts,
});
const both = [
  { nextHop: HOP4, prefixes: V4.slice(1) },
  { nextHop: HOP6, prefixes: V6 },
];
const announcing = (attributes: PathAttributes): readonly Update[] =>
  [
    { announced: [{ nextHop: HOP4, prefixes: V4 }], attributes },
    { announced: [{ nextHop: HOP6, prefixes: V6 }], attributes },
    { withdrawn: V4.slice(0, 1), announced: both, attributes },
  ].map(update);
const ENDS = [endOfRib(4), endOfRib(6)];
const WITHDRAWALS = [V4, V6].map((withdrawn) => update({ withdrawn }));
const UPDATES = [...ENDS, ...WITHDRAWALS, ...[MINIMAL, RICH].flatMap(announcing)];

function others(config: SessionConfig): readonly Message[] {
  const subtypes = ['request', 'begin', 'end'] as const;
  const refreshes = ([4, 6] as const).flatMap((family) =>
    subtypes.map((subtype): Message => ({ kind: 'routeRefresh', family, subtype })),
  );
  const shutdown = notification(6, 2, shutdownData('maintenance'));
  const hardReset = notification(6, 9, Uint8Array.from([6, 4]));
  const open = ourOpen(newSession(config));
  return [open, { kind: 'keepalive' }, shutdown, hardReset, notification(3, 1), ...refreshes];
}

/** A prefix list whose elements carry path identifiers (RFC 7911). */
function withPathIds(attributes: PathAttributes): Uint8Array {
  const octets = encodeAttributes(attributes, ip('10.0.0.1'), true);
  const nlri = V4.flatMap((_, id) => [...u32(id), 26, 192, 168, id, 64]);
  const body = [0, 0, ...u16(octets.length), ...octets, ...nlri];
  return Uint8Array.from([...Array(16).fill(255), ...u16(19 + body.length), 2, ...body]);
}

/** Whole messages; the UPDATEs first, and how many those are. */
export function corpusOf(config: SessionConfig): { messages: Uint8Array[]; updates: number } {
  const encoded = [
    ...[true, false].flatMap((fourOctetAs) =>
      UPDATES.map((message) => encodeMessage(message, { fourOctetAs })),
    ),
    ...Array.from({ length: config.addPath ? 30 : 1 }, () =>
      [MINIMAL, RICH].map(withPathIds),
    ).flat(),
  ];
  const rest = others(config).map((message) => encodeMessage(message, { fourOctetAs: true }));
  return { messages: [...encoded, ...rest], updates: encoded.length };
}

const HEADER = 19;

/** A wound or two, then lengths that fit, so that the wound is met where it is. */
export function mutate(message: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  let bytes: Buffer = Buffer.from(message);
  for (let wounds = random.integer(1, 2); wounds > 0; wounds--) bytes = wound(bytes, other, random);
  if (!random.chance(0.02)) bytes.writeUInt16BE(bytes.length, 16);
  if (random.chance(0.7)) mendAttributesLength(bytes, bytes.length - message.length);
  return bytes;
}

/** The attributes of an UPDATE that withdraws nothing in the classic field become longer by this. */
function mendAttributesLength(bytes: Buffer, more: number): void {
  if (bytes[18] !== 2 || bytes.length < 23 || bytes.readUInt16BE(19) !== 0) return;
  const length = bytes.readUInt16BE(21) + more;
  if (length >= 0 && 23 + length <= bytes.length) bytes.writeUInt16BE(length, 21);
}

const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 16, 32, 33, 127, 128, 129, 255];

function wound(bytes: Buffer, other: Uint8Array, random: Random): Buffer {
  const below = (limit: number): number => random.integer(0, limit - 1);
  const at = HEADER + below(Math.max(1, bytes.length - HEADER));
  switch (below(8)) {
    case 0: // an octet
      if (at < bytes.length) bytes[at] = below(256);
      return bytes;
    case 1: // a bit
      if (at < bytes.length) bytes[at]! ^= 1 << below(8);
      return bytes;
    case 2: // what may be a length or a type
      if (at < bytes.length) bytes[at] = LENGTHS[below(LENGTHS.length)]!;
      return bytes;
    case 3: // cut short
      return Buffer.from(bytes.subarray(0, Math.max(HEADER, at)));
    case 4: // something more
      return Buffer.concat([bytes, Buffer.from(LENGTHS.slice(0, 1 + below(6)))]);
    case 5: // a piece left out
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + below(4))]);
    case 6: // a piece twice
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(HEADER, at - 7))]);
    default: {
      // a piece of another message
      const from = HEADER + below(Math.max(1, other.length - HEADER));
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from), bytes.subarray(at)]);
    }
  }
}
