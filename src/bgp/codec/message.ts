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
} from './notification.ts';
import { decodeOpen, encodeOpen, type Open } from './open.ts';
import { u16 } from './reader.ts';
import { decodeUpdate, encodeUpdate, type Update } from './update.ts';

/** RFC 2918; `family` undefined: one that we do not know. */
export interface RouteRefresh {
  readonly kind: 'routeRefresh';
  readonly family: Family | undefined;
}

export type Message = Open | Update | Notification | { readonly kind: 'keepalive' } | RouteRefresh;

export const HEADER_OCTETS = 19;
export const MESSAGE_OCTETS_MAX = 4096;
const TYPES = ['open', 'update', 'notification', 'keepalive', 'routeRefresh'] as const;
/** Smallest whole message by type (RFC 4271 section 6.1, RFC 2918). */
const OCTETS_MIN: readonly number[] = [29, 23, 21, 19, 23];

export function encodeMessage(message: Message, context: { fourOctetAs: boolean }): Uint8Array {
  const body = encodeBody(message, context.fourOctetAs);
  const length = HEADER_OCTETS + body.length;
  assert(length <= MESSAGE_OCTETS_MAX, `a message of ${length} octets fits`);
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
        0,
        SAFI_UNICAST,
      ]);
  }
}

/** Decodes one whole message as `takeMessage` cut it. */
export function decodeMessage(
  bytes: Uint8Array,
  context: WireContext,
): Result<Message, Notification> {
  const body = bytes.subarray(HEADER_OCTETS);
  switch (TYPES[bytes[18]! - 1]!) {
    case 'open':
      return decodeOpen(body);
    case 'update':
      return decodeUpdate(body, context);
    case 'notification':
      return ok(decodeNotification(body));
    case 'keepalive':
      return ok({ kind: 'keepalive' });
    case 'routeRefresh': {
      const family = familyOfAfi((body[0]! << 8) | body[1]!);
      return ok({ kind: 'routeRefresh', family: body[3] === SAFI_UNICAST ? family : undefined });
    }
  }
}

/**
 * The next whole message at the head of `buffer`; undefined: more bytes are needed. Errors: a bad
 * header, after which the stream cannot be read on (RFC 4271 section 6.1).
 */
export function takeMessage(buffer: Uint8Array): Result<Uint8Array | undefined, Notification> {
  const wrong = (subcode: number, data?: readonly number[]) =>
    fail(notification(ERROR.header, subcode, Uint8Array.from(data ?? [])));
  // Looked at as soon as it arrives, so that a stranger's bytes are not waited for.
  if (buffer.subarray(0, 16).some((octet) => octet !== 255))
    return wrong(HEADER_ERROR.notSynchronized);
  if (buffer.length < HEADER_OCTETS) return ok(undefined);
  const length = (buffer[16]! << 8) | buffer[17]!;
  const type = buffer[18]!;
  if (length < HEADER_OCTETS || length > MESSAGE_OCTETS_MAX)
    return wrong(HEADER_ERROR.badLength, u16(length));
  const shortest = OCTETS_MIN[type - 1];
  if (shortest === undefined) return wrong(HEADER_ERROR.badType, [type]);
  const exact = TYPES[type - 1] === 'keepalive' || TYPES[type - 1] === 'routeRefresh';
  if (length < shortest || (exact && length !== shortest))
    return wrong(HEADER_ERROR.badLength, u16(length));
  return ok(buffer.length < length ? undefined : buffer.subarray(0, length));
}
