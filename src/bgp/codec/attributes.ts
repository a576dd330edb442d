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
  /** CLUSTER_IDs as unsigned numbers: a hostile list has thousands. */
  readonly clusterList?: readonly number[];
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
export const attribute = (type: number, value: readonly number[], flags = FLAGS_OF[type]!) => [
  ...headerOf(type, value.length, flags),
  ...value,
];

const headerOf = (type: number, length: number, flags: number): readonly number[] =>
  length > 255
    ? [flags | FLAG.extended, type, ...u16(length)]
    : [flags & ~FLAG.extended, type, length];

/** All attributes in order of type (RFC 4271 section 5), `nextHop` among them when given. */
export const encodeAttributes = (
  attributes: PathAttributes,
  nextHop: Ip | undefined,
  fourOctetAs: boolean,
): number[] => [...octetsOfAttributes(attributes, nextHop, fourOctetAs)];

/** The same as octets, which of long attributes takes a tenth of the time. */
export function octetsOfAttributes(
  attributes: PathAttributes,
  nextHop: Ip | undefined,
  fourOctetAs: boolean,
): Buffer {
  const { med, localPref, aggregator, communities, originatorId, clusterList } = attributes;
  const { asPath, largeCommunities: large } = attributes;
  const values: readonly (readonly [type: number, value: Octets | undefined])[] = [
    [TYPE.origin, [ORIGINS.indexOf(attributes.origin)]],
    [TYPE.asPath, encodeAsPath(asPath, fourOctetAs)],
    [TYPE.nextHop, nextHop && bytesOfIp(nextHop)],
    [TYPE.med, med === undefined ? undefined : u32(med)],
    [TYPE.localPref, localPref === undefined ? undefined : u32(localPref)],
    [TYPE.atomicAggregate, attributes.atomicAggregate && []],
    [TYPE.aggregator, aggregator && encodeAggregator(aggregator, fourOctetAs)],
    [TYPE.communities, communities && words([communities], communities.length)],
    [TYPE.originatorId, originatorId && bytesOfIp(originatorId)],
    [TYPE.clusterList, clusterList && words([clusterList], clusterList.length)],
    [TYPE.as4Path, fourOctetAs ? undefined : as4Path(asPath)],
    [TYPE.as4Aggregator, fourOctetAs ? undefined : as4Aggregator(aggregator)],
    [TYPE.largeCommunities, large && words(large, large.length * 3)],
  ];
  const all = values.flatMap(([type, value]) =>
    value ? [{ type, flags: FLAGS_OF[type]!, value }] : [],
  );
  const { unknown = [] } = attributes;
  const inOrder = unknown.length > 0 ? [...all, ...unknown].sort((a, b) => a.type - b.type) : all;
  return Buffer.concat(
    inOrder.flatMap(({ type, flags, value }) => [
      Uint8Array.from(headerOf(type, value.length, flags)),
      value instanceof Uint8Array ? value : Uint8Array.from(value),
    ]),
  );
}

type Octets = Uint8Array | readonly number[];

function words(lists: Iterable<readonly number[]>, count: number): Uint8Array {
  const octets = new Uint8Array(count * 4);
  const view = new DataView(octets.buffer);
  let at = 0;
  for (const list of lists)
    for (const word of list) {
      view.setUint32(at, word);
      at += 4;
    }
  return octets;
}

function encodeAsPath(path: readonly AsSegment[], fourOctetAs: boolean): Uint8Array {
  const width = fourOctetAs ? 4 : 2;
  const octets = new Uint8Array(path.reduce((sum, { asns }) => sum + 2 + asns.length * width, 0));
  const view = new DataView(octets.buffer);
  let at = 0;
  for (const { kind, asns } of path) {
    octets[at++] = SEGMENT_KINDS.indexOf(kind) + 1;
    octets[at++] = asns.length;
    for (const asn of asns) {
      if (fourOctetAs) view.setUint32(at, asn);
      else view.setUint16(at, asn > 65535 ? AS_TRANS : asn);
      at += width;
    }
  }
  return octets;
}

// An old speaker carries the true path in AS4_PATH, without the segments of confederations (RFC 6793
// section 4.2.2).
function as4Path(path: readonly AsSegment[]): Uint8Array | undefined {
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
