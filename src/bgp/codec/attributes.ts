// Path attributes as values, and how each is written (RFC 4271 section 4.3, RFC 4760, RFC 1997, RFC
// 4456, RFC 6793, RFC 8092). MP_REACH and MP_UNREACH are not here: they carry prefixes and belong to the UPDATE.
//
//   | flags (1) | type (1) | length (1, or 2 with the extended flag) | value ... |
import { AS_TRANS, type Asn } from '../../net/asn.ts';
import type { LargeCommunity } from '../../net/community.ts';
import { bytesOfIp, type Ip } from '../../net/ip.ts';
import { u16, u32 } from './reader.ts';

export type Origin = 'igp' | 'egp' | 'incomplete';
export const ORIGINS: readonly Origin[] = ['igp', 'egp', 'incomplete'];

export interface AsSegment {
  readonly kind: 'set' | 'sequence' | 'confederationSequence' | 'confederationSet';
  readonly asns: readonly Asn[];
}

export interface Aggregator {
  readonly asn: Asn;
  readonly address: Ip;
}

/** An attribute that is passed on untouched; only optional transitive ones are kept. */
export interface UnknownAttribute {
  readonly flags: number;
  readonly type: number;
  readonly value: Uint8Array;
}

/** What a set of prefixes shares. The next hop stands with the prefixes. */
export interface PathAttributes {
  readonly origin: Origin;
  readonly asPath: readonly AsSegment[];
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: true;
  readonly aggregator?: Aggregator;
  readonly communities?: readonly number[];
  readonly originatorId?: Ip;
  readonly clusterList?: readonly Ip[];
  /** Each once, in ascending order. */
  readonly largeCommunities?: readonly LargeCommunity[];
  readonly unknown?: readonly UnknownAttribute[];
}

export const FLAG = { optional: 0x80, transitive: 0x40, partial: 0x20, extended: 0x10 } as const;
export const TYPE = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  med: 4,
  localPref: 5,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  originatorId: 9,
  clusterList: 10,
  mpReach: 14,
  mpUnreach: 15,
  as4Path: 17,
  as4Aggregator: 18,
  largeCommunities: 32,
} as const;

const WELL_KNOWN = FLAG.transitive;
const OPTIONAL = FLAG.optional;
const OPTIONAL_TRANSITIVE = FLAG.optional | FLAG.transitive;

/** Optional and transitive bits that each known type must carry (RFC 4271 section 5). */
export const FLAGS_OF: Readonly<Record<number, number>> = {
  [TYPE.origin]: WELL_KNOWN,
  [TYPE.asPath]: WELL_KNOWN,
  [TYPE.nextHop]: WELL_KNOWN,
  [TYPE.med]: OPTIONAL,
  [TYPE.localPref]: WELL_KNOWN,
  [TYPE.atomicAggregate]: WELL_KNOWN,
  [TYPE.aggregator]: OPTIONAL_TRANSITIVE,
  [TYPE.communities]: OPTIONAL_TRANSITIVE,
  [TYPE.originatorId]: OPTIONAL,
  [TYPE.clusterList]: OPTIONAL,
  [TYPE.mpReach]: OPTIONAL,
  [TYPE.mpUnreach]: OPTIONAL,
  [TYPE.as4Path]: OPTIONAL_TRANSITIVE,
  [TYPE.as4Aggregator]: OPTIONAL_TRANSITIVE,
  [TYPE.largeCommunities]: OPTIONAL_TRANSITIVE,
};

export const SEGMENT_KINDS: readonly AsSegment['kind'][] = [
  'set',
  'sequence',
  'confederationSequence',
  'confederationSet',
];

/** One attribute with its header. */
export function attribute(type: number, value: readonly number[], flags = FLAGS_OF[type]!) {
  return value.length > 255
    ? [flags | FLAG.extended, type, ...u16(value.length), ...value]
    : [flags & ~FLAG.extended, type, value.length, ...value];
}

/** All attributes in order of type (RFC 4271 section 5), `nextHop` among them when given. */
export function encodeAttributes(
  attributes: PathAttributes,
  nextHop: Ip | undefined,
  fourOctetAs: boolean,
): number[] {
  const { med, localPref, aggregator, communities, originatorId, clusterList } = attributes;
  const { asPath, largeCommunities } = attributes;
  const ips = (list: readonly Ip[]) => list.flatMap((ip) => [...bytesOfIp(ip)]);
  const values: readonly (readonly [type: number, value: readonly number[] | undefined])[] = [
    [TYPE.origin, [ORIGINS.indexOf(attributes.origin)]],
    [TYPE.asPath, encodeAsPath(asPath, fourOctetAs)],
    [TYPE.nextHop, nextHop && ips([nextHop])],
    [TYPE.med, med === undefined ? undefined : u32(med)],
    [TYPE.localPref, localPref === undefined ? undefined : u32(localPref)],
    [TYPE.atomicAggregate, attributes.atomicAggregate && []],
    [TYPE.aggregator, aggregator && encodeAggregator(aggregator, fourOctetAs)],
    [TYPE.communities, communities?.flatMap(u32)],
    [TYPE.originatorId, originatorId && ips([originatorId])],
    [TYPE.clusterList, clusterList && ips(clusterList)],
    [TYPE.as4Path, fourOctetAs ? undefined : as4Path(asPath)],
    [TYPE.as4Aggregator, fourOctetAs ? undefined : as4Aggregator(aggregator)],
    [TYPE.largeCommunities, largeCommunities?.flatMap((parts) => parts.flatMap(u32))],
  ];
  const known = values.flatMap(([type, value]) =>
    value ? [{ type, octets: attribute(type, value) }] : [],
  );
  const unknown = (attributes.unknown ?? []).map(({ type, flags, value }) => ({
    type,
    octets: attribute(type, [...value], flags),
  }));
  const inOrder =
    unknown.length > 0 ? [...known, ...unknown].sort((a, b) => a.type - b.type) : known;
  return inOrder.flatMap(({ octets }) => octets);
}

function encodeAsPath(path: readonly AsSegment[], fourOctetAs: boolean): number[] {
  return path.flatMap(({ kind, asns }) => [
    SEGMENT_KINDS.indexOf(kind) + 1,
    asns.length,
    ...asns.flatMap((asn) => (fourOctetAs ? u32(asn) : u16(asn > 65535 ? AS_TRANS : asn))),
  ]);
}

// An old speaker carries the true path in AS4_PATH, without the segments of confederations (RFC 6793
// section 4.2.2).
function as4Path(path: readonly AsSegment[]): readonly number[] | undefined {
  const segments = path.filter(({ kind }) => kind === 'sequence' || kind === 'set');
  return segments.some(({ asns }) => asns.some(isWide)) ? encodeAsPath(segments, true) : undefined;
}

const as4Aggregator = (aggregator: Aggregator | undefined): readonly number[] | undefined =>
  aggregator && isWide(aggregator.asn) ? encodeAggregator(aggregator, true) : undefined;

const isWide = (asn: Asn): boolean => asn > 65535;

const encodeAggregator = ({ asn, address }: Aggregator, fourOctetAs: boolean): number[] => [
  ...(fourOctetAs ? u32(asn) : u16(asn > 65535 ? AS_TRANS : asn)),
  ...bytesOfIp(address),
];
