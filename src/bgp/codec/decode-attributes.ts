// Reading path attributes with RFC 7606's four answers to an error: session reset, treat as
// withdraw, discard the attribute, or nothing. The prefixes of MP_REACH and MP_UNREACH come out
// beside the attributes, since they survive most errors in them.
import type { Asn } from '../../net/asn.ts';
import type { Cidr } from '../../net/cidr.ts';
import type { Family, Ip } from '../../net/ip.ts';
import {
  type AsSegment,
  FLAG,
  FLAGS_OF,
  ORIGINS,
  type PathAttributes,
  SEGMENT_KINDS,
  TYPE,
} from './attributes.ts';
import { decodePrefixes, familyOfAfi, SAFI_UNICAST } from './families.ts';
import { ERROR, type Notification, notification, UPDATE_ERROR } from './notification.ts';
import { OutOfBounds, Reader } from './reader.ts';

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
  readonly faults: string[];
  readonly discarded: string[];
}

/** Thrown where RFC 7606 demands a session reset; never leaves the codec. */
export class SessionReset extends Error {
  readonly notification: Notification;

  constructor(subcode: number, data?: Uint8Array) {
    super('session reset');
    this.notification = notification(ERROR.update, subcode, data);
  }
}

export function decodeAttributes(bytes: Uint8Array, context: WireContext): Found {
  const found: Found = {
    draft: {},
    nextHop: undefined,
    reached: undefined,
    withdrawn: undefined,
    as4Path: undefined,
    faults: [],
    discarded: [],
  };
  const reader = new Reader(bytes);
  const seen = new Set<number>();
  while (reader.left > 0) {
    const header = readHeader(reader);
    if (!header) {
      // RFC 7606 section 4: what follows cannot be found, the prefixes can.
      found.faults.push('the attribute list is cut short');
      break;
    }
    if (seen.has(header.type)) repeated(header.type, found);
    else decodeOne(header, found, context);
    seen.add(header.type);
  }
  return found;
}

interface Header {
  readonly flags: number;
  readonly type: number;
  readonly value: Uint8Array;
}

function readHeader(reader: Reader): Header | undefined {
  if (reader.left < 3) return undefined;
  const [flags, type] = [reader.u8(), reader.u8()];
  if (flags & FLAG.extended && reader.left < 2) return undefined;
  const length = flags & FLAG.extended ? reader.u16() : reader.u8();
  return length > reader.left ? undefined : { flags, type, value: reader.take(length) };
}

// RFC 7606 section 3 (g).
function repeated(type: number, found: Found): void {
  if (type === TYPE.mpReach || type === TYPE.mpUnreach)
    throw new SessionReset(UPDATE_ERROR.malformedAttributeList);
  found.discarded.push(`attribute ${type} repeated`);
}

function decodeOne(header: Header, found: Found, context: WireContext): void {
  const { flags, type, value } = header;
  const wanted = FLAGS_OF[type];
  if (wanted === undefined) {
    unknownAttribute(header, found);
    return;
  }
  const bits = flags & (FLAG.optional | FLAG.transitive);
  if (bits !== wanted) found.faults.push(`attribute ${type} has flags ${flags.toString(16)}`);
  const read = READERS[type]!;
  try {
    const wrong = read(new Reader(value), found, context);
    if (wrong) found.faults.push(wrong);
  } catch (error) {
    if (!(error instanceof OutOfBounds)) throw error;
    if (type === TYPE.mpReach || type === TYPE.mpUnreach)
      throw new SessionReset(UPDATE_ERROR.optionalAttribute, value);
    found.faults.push(`attribute ${type} has a bad length`);
  }
}

function unknownAttribute({ flags, type, value }: Header, found: Found): void {
  if (!(flags & FLAG.optional))
    throw new SessionReset(UPDATE_ERROR.unrecognizedWellKnown, value.slice());
  // Unknown non-transitive attributes are quietly ignored (RFC 4271 section 5).
  if (!(flags & FLAG.transitive)) return;
  const kept = { flags: (flags | FLAG.partial) & ~FLAG.extended, type, value: value.slice() };
  found.draft.unknown = [...(found.draft.unknown ?? []), kept];
}

/** Reads one attribute; answers the fault that makes the prefixes withdrawn. */
type ReadAttribute = (reader: Reader, found: Found, context: WireContext) => string | undefined;

const READERS: Readonly<Record<number, ReadAttribute>> = {
  [TYPE.origin]: (reader, { draft }) => {
    draft.origin = ORIGINS[reader.u8()];
    return draft.origin && reader.left === 0 ? undefined : 'ORIGIN is malformed';
  },
  [TYPE.asPath]: (reader, { draft }, { fourOctetAs }) => {
    draft.asPath = decodeAsPath(reader, fourOctetAs);
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
    const values: number[] = [];
    while (reader.left > 0) values.push(reader.u32());
    draft.communities = values;
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
    const ids: Ip[] = [];
    while (reader.left > 0) ids.push(reader.address(4));
    draft.clusterList = ids;
    return undefined;
  },
  [TYPE.mpReach]: (reader, found) => {
    const family = readFamily(reader);
    const nextHop = reader.part(reader.u8());
    reader.u8(); // reserved
    if (!family) return void found.discarded.push('MP_REACH_NLRI of a family not negotiated');
    const good = family === 4 ? [4] : [16, 32];
    if (!good.includes(nextHop.left)) throw new OutOfBounds('next hop length');
    // With 32 octets the link-local address follows the global one (RFC 2545 section 3).
    found.reached = {
      family,
      nextHop: nextHop.address(family),
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
    // A new speaker never sends it to a new one; then it is discarded (RFC 6793 section 4.1).
    const path = fourOctetAs ? undefined : decodeAsPath(reader, true);
    if (path) found.as4Path = path;
    else found.discarded.push('AS4_PATH');
    return undefined;
  },
  [TYPE.as4Aggregator]: (_reader, { discarded }) => void discarded.push('AS4_AGGREGATOR'),
};

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
    const asns = Array.from(
      { length: count },
      () => (fourOctetAs ? reader.u32() : reader.u16()) as Asn,
    );
    if (asns.includes(0 as Asn)) return undefined;
    segments.push({ kind, asns });
  }
  return segments;
}
