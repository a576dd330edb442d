// The codec's face: a whole message <-> its value, and messages out of a stream of bytes. Errors
// are NOTIFICATION values; no input makes the codec throw.
//
//   | marker, all ones (16) | length (2) | type (1) | body ... |      RFC 4271 section 4.1
import { assert } from '../../base/assert.ts';
import { fail, ok, type Result } from '../../base/result.ts';
import type { Family } from '../../net/ip.ts';
import type { WireContext } from './decode-attributes.ts';
import { AFI_OF, familyOfAfi, SAFI_UNICAST } from './families.ts';
import {
  decodeNotification,
  ERROR,
  encodeNotification,
  HEADER_ERROR,
  type Notification,
  notification,
  ROUTE_REFRESH_ERROR,
} from './notification.ts';
import { decodeOpen, encodeOpen, type Open } from './open.ts';
import { u16 } from './reader.ts';
import { decodeUpdate, encodeUpdate, type Update } from './update.ts';

/** RFC 2918 section 3; `family` undefined: one that we do not know. */
export interface RouteRefresh {
  readonly kind: 'routeRefresh';
  readonly family: Family | undefined;
  /** RFC 7313 section 3.2; undefined: one that we do not know. */
  readonly subtype: RefreshSubtype | undefined;
}

/** Please tell again; I begin to tell again; I have told all again. */
export type RefreshSubtype = 'request' | 'begin' | 'end';
const SUBTYPES: readonly RefreshSubtype[] = ['request', 'begin', 'end'];

export type Message = Open | Update | Notification | { readonly kind: 'keepalive' } | RouteRefresh;
/** What the session machine reads and writes itself. */
export type SessionMessage = Exclude<Message, Update>;

export const HEADER_OCTETS = 19;
export const MESSAGE_OCTETS_MAX = 4096;
/** Where both sides can (RFC 8654); an OPEN and a KEEPALIVE stay below the other limit. */
export const EXTENDED_MESSAGE_OCTETS_MAX = 65535;
const TYPES = ['open', 'update', 'notification', 'keepalive', 'routeRefresh'] as const;
const [OPEN, UPDATE, KEEPALIVE] = [1, 2, 4];
/** Never extended (RFC 8654 section 4). */
const SHORT_TYPES: readonly number[] = [OPEN, KEEPALIVE];
const MARKER_OCTETS = 16;
const TYPE_AT = 18;
/** Smallest whole message by type (RFC 4271 section 6.1, RFC 2918). */
const OCTETS_MIN: readonly number[] = [29, 23, 21, 19, 23];

export function encodeMessage(
  message: Message,
  context: { readonly fourOctetAs: boolean; readonly extendedMessage?: boolean },
): Uint8Array {
  const body = encodeBody(message, context.fourOctetAs);
  const length = HEADER_OCTETS + body.length;
  const most = context.extendedMessage ? EXTENDED_MESSAGE_OCTETS_MAX : MESSAGE_OCTETS_MAX;
  assert(length <= most, `a message of ${length} octets fits`);
  const bytes = new Uint8Array(length).fill(255, 0, 16);
  bytes.set([...u16(length), TYPES.indexOf(message.kind) + 1], 16);
  bytes.set(body, HEADER_OCTETS);
  return bytes;
}

function encodeBody(message: Message, fourOctetAs: boolean): Uint8Array {
  switch (message.kind) {
    case 'open':
      return encodeOpen(message);
    case 'update':
      return encodeUpdate(message, fourOctetAs);
    case 'notification':
      return encodeNotification(message);
    case 'keepalive':
      return new Uint8Array();
    case 'routeRefresh':
      return Uint8Array.from([
        ...u16(message.family ? AFI_OF[message.family] : 0),
        SUBTYPES.indexOf(message.subtype ?? 'request'),
        SAFI_UNICAST,
      ]);
  }
}

export const isUpdate = (message: Uint8Array): boolean => message[TYPE_AT] === UPDATE;
export const bodyOf = (message: Uint8Array): Uint8Array => message.subarray(HEADER_OCTETS);

/** Decodes one whole message as `takeMessage` cut it. */
export function decodeMessage(
  bytes: Uint8Array,
  context: WireContext,
): Result<Message, Notification> {
  return isUpdate(bytes) ? decodeUpdate(bodyOf(bytes), context) : decodeSessionMessage(bytes);
}

/** Any but an UPDATE. */
export function decodeSessionMessage(bytes: Uint8Array): Result<SessionMessage, Notification> {
  const body = bodyOf(bytes);
  const type = TYPES[bytes[TYPE_AT]! - 1];
  assert(type !== undefined && type !== 'update', 'of a type that it was taken for');
  switch (type) {
    case 'open':
      return decodeOpen(body);
    case 'notification':
      return ok(decodeNotification(body));
    case 'keepalive':
      return ok({ kind: 'keepalive' });
    case 'routeRefresh':
      return decodeRouteRefresh(bytes);
  }
}

function decodeRouteRefresh(bytes: Uint8Array): Result<SessionMessage, Notification> {
  const body = bodyOf(bytes);
  const subtype = SUBTYPES[body[2]!];
  // RFC 7313 section 5: the message comes back as the data. A plain request may have more behind it
  // that we did not ask for (RFC 5291), and is then no request.
  if (body.length !== 4 && (subtype === 'begin' || subtype === 'end'))
    return fail(notification(ERROR.routeRefresh, ROUTE_REFRESH_ERROR.invalidLength, bytes.slice()));
  const family = body[3] === SAFI_UNICAST ? familyOfAfi((body[0]! << 8) | body[1]!) : undefined;
  return ok({ kind: 'routeRefresh', family, subtype: body.length === 4 ? subtype : undefined });
}

/**
 * The next whole message at the head of `buffer`; undefined: more bytes are needed. Errors: a bad
 * header, after which the stream cannot be read on (RFC 4271 section 6.1).
 */
export function takeMessage(
  buffer: Uint8Array,
  octetsMax = MESSAGE_OCTETS_MAX,
): Result<Uint8Array | undefined, Notification> {
  const wrong = (subcode: number, data?: readonly number[]) =>
    fail(notification(ERROR.header, subcode, Uint8Array.from(data ?? [])));
  // Looked at as soon as it arrives, so that a stranger's bytes are not waited for.
  const marker = Math.min(MARKER_OCTETS, buffer.length);
  for (let at = 0; at < marker; at++)
    if (buffer[at] !== 255) return wrong(HEADER_ERROR.notSynchronized);
  if (buffer.length < HEADER_OCTETS) return ok(undefined);
  const length = (buffer[16]! << 8) | buffer[17]!;
  const type = buffer[TYPE_AT]!;
  const shortest = OCTETS_MIN[type - 1];
  const longest = SHORT_TYPES.includes(type) ? MESSAGE_OCTETS_MAX : octetsMax;
  if (length < HEADER_OCTETS || length > longest) return wrong(HEADER_ERROR.badLength, u16(length));
  if (shortest === undefined) return wrong(HEADER_ERROR.badType, [type]);
  if (length < shortest || (type === KEEPALIVE && length !== shortest))
    return wrong(HEADER_ERROR.badLength, u16(length));
  return ok(buffer.length < length ? undefined : buffer.subarray(0, length));
}
