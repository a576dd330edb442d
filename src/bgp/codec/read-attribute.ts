// Each known path attribute's own reading. What is said of an error here is RFC 7606's word on that
// attribute; what all have in common is in decode-attributes.
import type { Asn } from '../../net/asn.ts';
import type { Cidr } from '../../net/cidr.ts';
import { largeFrom } from '../../net/community.ts';
import type { Family, Ip } from '../../net/ip.ts';
import {
  type Aggregator,
  type AsSegment,
  ORIGINS,
  type PathAttributes,
  SEGMENT_KINDS,
  TYPE,
} from './attributes.ts';
import { decodePrefixes, familyOfAfi, SAFI_UNICAST } from './families.ts';
import { OutOfBounds, type Reader } from './reader.ts';

/** What a session negotiated that changes how bytes are read. */
export interface WireContext {
  readonly fourOctetAs: boolean;
  /** The peer is of another AS: LOCAL_PREF and reflection attributes are not believed. */
  readonly external: boolean;
}

export interface Reached {
  readonly family: Family;
  readonly nextHop: Ip;
  readonly prefixes: readonly Cidr[];
}

type Draft = { -readonly [K in keyof PathAttributes]?: PathAttributes[K] | undefined };

/** Attributes as found; `faults` that make the prefixes withdrawn, `discarded` that do not. */
export interface Found {
  readonly draft: Draft;
  nextHop: Ip | undefined;
  reached: Reached | undefined;
  withdrawn: { readonly family: Family; readonly prefixes: readonly Cidr[] } | undefined;
  as4Path: readonly AsSegment[] | undefined;
  as4Aggregator: Aggregator | undefined;
  readonly faults: string[];
  readonly discarded: string[];
}

/** Reads one attribute; answers the fault that makes the prefixes withdrawn. */
type ReadAttribute = (reader: Reader, found: Found, context: WireContext) => string | undefined;

export const READERS: Readonly<Record<number, ReadAttribute>> = {
  [TYPE.origin]: (reader, { draft }) => {
    draft.origin = ORIGINS[reader.u8()];
    return draft.origin && reader.left === 0 ? undefined : 'ORIGIN is malformed';
  },
  [TYPE.asPath]: (reader, { draft }, { fourOctetAs, external }) => {
    draft.asPath = decodeAsPath(reader, fourOctetAs);
    // We are in no confederation, so that only a peer of our own AS may be (RFC 5065 section 5).
    if (external && !draft.asPath?.every(isPlain)) return 'AS_PATH is malformed';
    return draft.asPath ? undefined : 'AS_PATH is malformed';
  },
  [TYPE.nextHop]: (reader, found) => {
    found.nextHop = reader.address(4);
    return reader.left === 0 ? undefined : 'NEXT_HOP has a bad length';
  },
  [TYPE.med]: (reader, { draft }) => {
    draft.med = reader.u32();
    return reader.left === 0 ? undefined : 'MULTI_EXIT_DISC has a bad length';
  },
  [TYPE.localPref]: (reader, { draft, discarded }, { external }) => {
    if (external) return void discarded.push('LOCAL_PREF of an external peer');
    draft.localPref = reader.u32();
    return reader.left === 0 ? undefined : 'LOCAL_PREF has a bad length';
  },
  [TYPE.atomicAggregate]: (reader, { draft, discarded }) => {
    if (reader.left === 0) draft.atomicAggregate = true;
    else discarded.push('ATOMIC_AGGREGATE has a bad length');
    return undefined;
  },
  [TYPE.aggregator]: (reader, { draft, discarded }, { fourOctetAs }) => {
    if (reader.left !== (fourOctetAs ? 8 : 6))
      return void discarded.push('AGGREGATOR has a bad length');
    const asn = (fourOctetAs ? reader.u32() : reader.u16()) as Asn;
    if (asn === 0) return void discarded.push('AGGREGATOR has AS 0');
    draft.aggregator = { asn, address: reader.address(4) };
    return undefined;
  },
  [TYPE.communities]: (reader, { draft }) => {
    if (reader.left === 0) return 'COMMUNITIES is empty';
    draft.communities = words(reader);
    return undefined;
  },
  [TYPE.originatorId]: (reader, { draft, discarded }, { external }) => {
    if (external) return void discarded.push('ORIGINATOR_ID of an external peer');
    draft.originatorId = reader.address(4);
    return reader.left === 0 ? undefined : 'ORIGINATOR_ID has a bad length';
  },
  [TYPE.clusterList]: (reader, { draft, discarded }, { external }) => {
    if (external) return void discarded.push('CLUSTER_LIST of an external peer');
    if (reader.left === 0) return 'CLUSTER_LIST is empty';
    draft.clusterList = words(reader);
    return undefined;
  },
  [TYPE.mpReach]: (reader, found) => {
    const family = readFamily(reader);
    const nextHop = reader.part(reader.u8());
    reader.u8(); // reserved
    if (!family) return void found.discarded.push('MP_REACH_NLRI of a family not negotiated');
    // With 32 octets the link-local address follows the global one (RFC 2545 section 3); IPv4 with an
    // IPv6 next hop: RFC 8950 section 4.
    const good = family === 4 ? [4, 16, 32] : [16, 32];
    if (!good.includes(nextHop.left)) throw new OutOfBounds('next hop length');
    found.reached = {
      family,
      nextHop: nextHop.address(nextHop.left === 4 ? 4 : 6),
      prefixes: decodePrefixes(reader, family),
    };
    return undefined;
  },
  [TYPE.mpUnreach]: (reader, found) => {
    const family = readFamily(reader);
    if (!family) return void found.discarded.push('MP_UNREACH_NLRI of a family not negotiated');
    found.withdrawn = { family, prefixes: decodePrefixes(reader, family) };
    return undefined;
  },
  [TYPE.as4Path]: (reader, found, { fourOctetAs }) => {
    // A new speaker never sends it to a new one; then it is discarded (RFC 6793 section 4.1), as is
    // one at fault and its segments of confederations (section 6).
    const path = fourOctetAs ? undefined : decodeAsPath(reader, true);
    if (path) found.as4Path = path.filter(isPlain);
    else found.discarded.push('AS4_PATH');
    return undefined;
  },
  [TYPE.as4Aggregator]: (reader, found, { fourOctetAs }) => {
    if (fourOctetAs || reader.left !== 8) return void found.discarded.push('AS4_AGGREGATOR');
    const asn = reader.u32() as Asn;
    if (asn === 0) return void found.discarded.push('AS4_AGGREGATOR has AS 0');
    found.as4Aggregator = { asn, address: reader.address(4) };
    return undefined;
  },
  [TYPE.largeCommunities]: (reader, { draft }) => {
    // RFC 8092 section 6; twice the same counts once (section 5).
    if (reader.left === 0) return 'LARGE_COMMUNITY is empty';
    draft.largeCommunities = largeFrom(reader.words(3));
    return undefined;
  },
};

function words(reader: Reader): readonly number[] {
  const values: number[] = [];
  while (reader.left > 0) values.push(reader.u32());
  return values;
}

const isPlain = ({ kind }: AsSegment): boolean => kind === 'sequence' || kind === 'set';

function readFamily(reader: Reader): Family | undefined {
  const family = familyOfAfi(reader.u16());
  return reader.u8() === SAFI_UNICAST ? family : undefined;
}

/** Undefined: malformed (RFC 7606 section 7.2), AS 0 included (RFC 7607). */
function decodeAsPath(reader: Reader, fourOctetAs: boolean): readonly AsSegment[] | undefined {
  const segments: AsSegment[] = [];
  while (reader.left > 0) {
    const kind = SEGMENT_KINDS[reader.u8() - 1];
    const count = reader.left > 0 ? reader.u8() : 0;
    if (!kind || count === 0 || reader.left < count * (fourOctetAs ? 4 : 2)) return undefined;
    const asns: Asn[] = [];
    for (let i = 0; i < count; i++) {
      const asn = fourOctetAs ? reader.u32() : reader.u16();
      if (asn === 0) return undefined;
      asns.push(asn as Asn);
    }
    segments.push({ kind, asns });
  }
  return segments;
}
