// An UPDATE cut into its parts, without making values of them: most messages carry an attribute
// block that was seen before, and only a new one is worth decoding. Errors that RFC 7606 answers
// with a session reset are found here; all others show when the attributes are decoded.
//
//   | withdrawn length (2) | withdrawn ... | attributes length (2) | attributes ... | NLRI ... |
import { fail, ok, type Result } from '../../base/result.ts';
import type { Family } from '../../net/ip.ts';
import { FLAG, TYPE } from './attributes.ts';
import { familyOfAfi, SAFI_UNICAST } from './families.ts';
import { isEmpty, type Span } from './nlri.ts';
import { ERROR, type Notification, notification, UPDATE_ERROR } from './notification.ts';
import { u16 } from './reader.ts';

/** MP_REACH_NLRI (RFC 4760 section 3). */
export interface Reach {
  readonly family: Family;
  readonly nextHop: Span;
  readonly prefixes: Span;
}

/** MP_UNREACH_NLRI (RFC 4760 section 4). */
export interface Unreach {
  readonly family: Family;
  readonly prefixes: Span;
}

export interface UpdateParts {
  /** IPv4. */
  readonly withdrawn: Span;
  /** IPv4. */
  readonly announced: Span;
  readonly reach: Reach | undefined;
  readonly unreach: Unreach | undefined;
  /** The attributes without MP_REACH_NLRI and MP_UNREACH_NLRI, in pieces. */
  readonly attributes: readonly Span[];
  /** What is wrong with the flags of those two: their prefixes count as withdrawn. */
  readonly faults: readonly string[];
  /** RFC 4724 section 2. */
  readonly endOfRib: Family | undefined;
}

interface Draft {
  reach: Reach | undefined;
  unreach: Unreach | undefined;
  readonly attributes: Span[];
  readonly faults: string[];
}

const wrong = (subcode: number, data?: Uint8Array) =>
  fail(notification(ERROR.update, subcode, data));

/** Errors: the NOTIFICATION that ends the session. */
export function splitUpdate(body: Uint8Array): Result<UpdateParts, Notification> {
  const malformed = wrong(UPDATE_ERROR.malformedAttributeList);
  if (body.length < 4) return malformed;
  const withdrawn = { start: 2, end: 2 + ((body[0]! << 8) | body[1]!) };
  if (withdrawn.end + 2 > body.length) return malformed;
  const start = withdrawn.end + 2;
  const end = start + ((body[start - 2]! << 8) | body[start - 1]!);
  if (end > body.length) return malformed;
  const draft: Draft = { reach: undefined, unreach: undefined, attributes: [], faults: [] };
  const refused = splitAttributes(body, { start, end }, draft);
  if (refused) return fail(refused);
  const announced = { start: end, end: body.length };
  const nothing = isEmpty(withdrawn) && isEmpty(announced) && !draft.reach;
  const mark = nothing && draft.attributes.length === 0 ? endOfRib(draft.unreach, body) : undefined;
  return ok({ withdrawn, announced, ...draft, endOfRib: mark });
}

function splitAttributes(body: Uint8Array, span: Span, draft: Draft): Notification | undefined {
  let [at, from] = [span.start, span.start];
  const seen = { reach: false, unreach: false };
  while (at + 3 <= span.end) {
    const flags = body[at]!;
    const type = body[at + 1]!;
    const wide = (flags & FLAG.extended) !== 0;
    if (wide && at + 4 > span.end) break;
    const value = at + (wide ? 4 : 3);
    const end = value + (wide ? (body[at + 2]! << 8) | body[at + 3]! : body[at + 2]!);
    // What follows cannot be found; the decoder says so of the piece that is left.
    if (end > span.end) break;
    if (type === TYPE.mpReach || type === TYPE.mpUnreach) {
      if (from < at) draft.attributes.push({ start: from, end: at });
      from = end;
      const part = type === TYPE.mpReach ? 'reach' : 'unreach';
      // RFC 7606 section 3 (g).
      if (seen[part]) return notification(ERROR.update, UPDATE_ERROR.malformedAttributeList);
      seen[part] = true;
      if ((flags & (FLAG.optional | FLAG.transitive)) !== FLAG.optional)
        draft.faults.push(`attribute ${type} has flags ${flags.toString(16)}`);
      const good = part === 'reach' ? readReach : readUnreach;
      if (!good(body, { start: value, end }, draft)) {
        const data = body.slice(value, end);
        return notification(ERROR.update, UPDATE_ERROR.optionalAttribute, data);
      }
    }
    at = end;
  }
  if (from < span.end) draft.attributes.push({ start: from, end: span.end });
  return undefined;
}

const familyAt = (body: Uint8Array, at: number): Family | undefined =>
  body[at + 2] === SAFI_UNICAST ? familyOfAfi((body[at]! << 8) | body[at + 1]!) : undefined;

// A family that we do not know is ignored. IPv4 with an IPv6 next hop: RFC 8950 section 4.
function readReach(body: Uint8Array, { start, end }: Span, draft: Draft): boolean {
  if (end - start < 5) return false;
  const family = familyAt(body, start);
  const octets = body[start + 3]!;
  const nextHop = { start: start + 4, end: start + 4 + octets };
  if (nextHop.end + 1 > end) return false;
  if (family === undefined) return true;
  const known = octets === 16 || octets === 32 || (family === 4 && octets === 4);
  if (known) draft.reach = { family, nextHop, prefixes: { start: nextHop.end + 1, end } };
  return known;
}

function readUnreach(body: Uint8Array, { start, end }: Span, draft: Draft): boolean {
  if (end - start < 3) return false;
  const family = familyAt(body, start);
  if (family !== undefined) draft.unreach = { family, prefixes: { start: start + 3, end } };
  return true;
}

// An UPDATE of 23 octets, or one with nothing but an empty MP_UNREACH_NLRI.
function endOfRib(unreach: Unreach | undefined, body: Uint8Array): Family | undefined {
  if (unreach) return isEmpty(unreach.prefixes) ? unreach.family : undefined;
  return body.length === 4 ? 4 : undefined;
}

/** The octets of the pieces as text of Latin-1: a key to attributes seen before. */
export function textOf(body: Buffer, pieces: readonly Span[]): string {
  if (pieces.length === 1) return body.toString('latin1', pieces[0]!.start, pieces[0]!.end);
  return pieces.map(({ start, end }) => body.toString('latin1', start, end)).join('');
}

/**
 * The body of an UPDATE that announces one prefix with these attributes, so that the decoder's
 * verdict on them can be had. With a next hop in `reach` they are those of an MP_REACH_NLRI.
 */
export function bodyOfOne(attributes: Uint8Array, reach: Uint8Array | undefined): Uint8Array {
  const nextHop = reach?.subarray(0, reach.length === 32 ? 16 : reach.length);
  const afi = nextHop?.length === 4 ? 1 : 2;
  const mp = nextHop
    ? [
        ...[FLAG.optional, TYPE.mpReach, nextHop.length + 6, 0, afi, SAFI_UNICAST],
        ...[nextHop.length, ...nextHop, 0, 0],
      ]
    : [];
  const length = mp.length + attributes.length;
  const body = new Uint8Array(4 + length + (nextHop ? 0 : 1));
  body.set([0, 0, ...u16(length), ...mp]);
  body.set(attributes, 4 + mp.length);
  return body;
}
