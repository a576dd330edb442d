// Reading path attributes with RFC 7606's four answers to an error: session reset, treat as
// withdraw, discard the attribute, or nothing. The prefixes of MP_REACH and MP_UNREACH come out
// beside the attributes, since they survive most errors in them.
import { fail, ok, type Result } from '../../base/result.ts';
import { AS_TRANS } from '../../net/asn.ts';
import { FLAG, FLAGS_OF, TYPE, type UnknownAttribute } from './attributes.ts';
import { ERROR, type Notification, notification, UPDATE_ERROR } from './notification.ts';
import { type Found, READERS, type WireContext } from './read-attribute.ts';
import { OutOfBounds, Reader } from './reader.ts';

export type { Found, WireContext };

/** Thrown where RFC 7606 demands a session reset; never leaves the codec. */
export class SessionReset extends Error {
  readonly notification: Notification;

  constructor(subcode: number, data?: Uint8Array) {
    super('session reset');
    this.notification = notification(ERROR.update, subcode, data);
  }
}

function decodeAttributes(bytes: Uint8Array, context: WireContext): Found {
  const found: Found = {
    draft: {},
    nextHop: undefined,
    reached: undefined,
    withdrawn: undefined,
    as4Path: undefined,
    as4Aggregator: undefined,
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
  mergeAggregator(found);
  return found;
}

/**
 * The NOTIFICATION for attributes at fault in an UPDATE that announces nothing: there is no prefix
 * that could count as withdrawn (RFC 7606 section 5.2).
 */
export function refusedWithoutPrefixes(
  attributes: Uint8Array,
  context: WireContext,
): Notification | undefined {
  const found = foundIn(attributes, context);
  if (!found.ok) return found.error;
  const malformed = found.value.faults.length > 0;
  return malformed ? notification(ERROR.update, UPDATE_ERROR.malformedAttributeList) : undefined;
}

/** Errors: the NOTIFICATION of a session reset. */
export function foundIn(bytes: Uint8Array, context: WireContext): Result<Found, Notification> {
  try {
    return ok(decodeAttributes(bytes, context));
  } catch (error) {
    if (error instanceof SessionReset) return fail(error.notification);
    throw error;
  }
}

// RFC 6793 section 4.2.3: a new AGGREGATOR behind the old speaker's makes its AS4 attributes void.
function mergeAggregator(found: Found): void {
  const { draft, as4Aggregator } = found;
  if (!draft.aggregator || !as4Aggregator) return;
  if (draft.aggregator.asn === AS_TRANS) draft.aggregator = as4Aggregator;
  else found.as4Path = undefined;
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
  const words = `attribute ${type} repeated`;
  if (!found.discarded.includes(words)) found.discarded.push(words);
}

function decodeOne(header: Header, found: Found, context: WireContext): void {
  const { flags, type, value } = header;
  const wanted = FLAGS_OF[type];
  if (wanted === undefined) {
    if (type in PASSED_ON) passOn(header, found);
    else unknownAttribute(header, found);
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
  keep({ flags: (flags | FLAG.partial) & ~FLAG.extended, type, value: value.slice() }, found);
}

/** Attributes that are passed on unread, but whose lengths are known: octets of one element. */
const PASSED_ON: Readonly<Record<number, number>> = {
  // Extended communities (RFC 7606 section 7.14, RFC 5701 for those of IPv6).
  16: 8,
  25: 20,
};

function passOn({ flags, type, value }: Header, found: Found): void {
  const bits = flags & (FLAG.optional | FLAG.transitive);
  if (bits !== (FLAG.optional | FLAG.transitive))
    found.faults.push(`attribute ${type} has flags ${flags.toString(16)}`);
  if (value.length === 0 || value.length % PASSED_ON[type]! !== 0)
    found.faults.push(`attribute ${type} has a bad length`);
  keep({ flags: flags & ~FLAG.extended, type, value: value.slice() }, found);
}

const keep = (kept: UnknownAttribute, { draft }: Found): void => {
  draft.unknown = [...(draft.unknown ?? []), kept];
};
