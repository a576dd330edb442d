// An UPDATE taken into the table. Its attributes are decoded only when their octets are new; the
// prefixes go from the message into the columns without becoming values.
import type { Family } from '../../net/ip.ts';
import { bitsOf, familyOf } from '../../net/ip.ts';
import { refusedWithoutPrefixes } from '../codec/decode-attributes.ts';
import { areWholePrefixes, isEmpty, type Span } from '../codec/nlri.ts';
import { ERROR, type Notification, notification, UPDATE_ERROR } from '../codec/notification.ts';
import { splitUpdate, textOf, type UpdateParts } from '../codec/update-parts.ts';
import type { Peer } from './peer.ts';
import { hasImportFilters, type ImportPolicy, importPrefix, importSet } from './policy/import.ts';
import type { AttributeSet, AttributeSets } from './routes/attribute-sets.ts';
import { NONE } from './routes/paths.ts';
import type { Rib } from './routes/rib.ts';

export interface Received {
  /** The session must end with this. */
  readonly reset?: Notification;
  /** What was wrong and made prefixes count as withdrawn (RFC 7606). */
  readonly faults?: readonly string[];
  readonly endOfRib?: Family;
}

export interface Receiver {
  readonly peer: Peer;
  readonly policy: ImportPolicy;
  readonly sets: AttributeSets;
  readonly ribOf: (family: Family) => Rib;
}

/** Prefixes of one family that the message speaks of. */
interface Part {
  readonly family: Family;
  readonly prefixes: Span;
  /** Undefined: withdrawn. */
  readonly set?: AttributeSet;
}

export function receiveUpdate(receiver: Receiver, bytes: Uint8Array): Received {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const split = splitUpdate(body);
  if (!split.ok) return { reset: split.error };
  const { endOfRib } = split.value;
  if (endOfRib !== undefined) return { endOfRib };
  const parts = partsOf(receiver, body, split.value);
  if (!Array.isArray(parts)) return { reset: parts as Notification };
  const sets = (parts as readonly Part[]).flatMap(({ set }) => set ?? []);
  const strange = (parts as readonly Part[]).some((part) => isStrange(receiver.peer, part));
  const faults = strange ? [...split.value.faults, STRANGE_HOP] : split.value.faults;
  // What one part replaces may be the last use of the next part's set.
  for (const set of sets) receiver.sets.retain(set.id);
  for (const part of parts as readonly Part[])
    if (part.set) announce(receiver, body, part, part.set, faults.length > 0);
    else withdraw(receiver, body, part);
  for (const set of sets) receiver.sets.release(set.id);
  const wrong = [...faults, ...sets.flatMap((set) => set.faults)];
  return wrong.length > 0 ? { faults: wrong } : {};
}

const STRANGE_HOP = 'an IPv6 next hop of IPv4 prefixes, which was not agreed on';

// RFC 8950 section 4: only who has said that he understands it is told so.
const isStrange = ({ agreed }: Peer, { family, set }: Part): boolean =>
  family === 4 && set !== undefined && familyOf(set.nextHop) === 6 && !agreed.extendedNextHop;

// Withdrawals first: a prefix in both fields counts as announced (RFC 4271 section 4.3).
function partsOf(
  receiver: Receiver,
  body: Buffer,
  { withdrawn, announced, reach, unreach, attributes }: UpdateParts,
): readonly Part[] | Notification {
  const { families } = receiver.peer.agreed;
  const gone: Part[] = isEmpty(withdrawn) ? [] : [{ family: 4, prefixes: withdrawn }];
  const all = [...gone, ...(unreach ? [unreach] : [])];
  const come = [
    ...(isEmpty(announced) ? [] : [{ family: 4 as const, prefixes: announced }]),
    ...(reach && !isEmpty(reach.prefixes) ? [reach] : []),
  ];
  for (const { family, prefixes } of [...all, ...come]) {
    const addPath = receiver.peer.agreed.addPathReceive.includes(family);
    if (!areWholePrefixes(body, prefixes, bitsOf(family), addPath))
      return notification(ERROR.update, UPDATE_ERROR.invalidNetwork);
  }
  if (come.length === 0 && attributes.length > 0) {
    const refused = refusedWithoutPrefixes(joined(body, attributes), receiver.peer.context);
    if (refused) return refused;
  }
  const parts: Part[] = all.map(({ family, prefixes }) => ({ family, prefixes }));
  // A family that was not agreed is ignored.
  for (const { family, prefixes, ...more } of come.filter((c) => families.includes(c.family))) {
    const nextHop =
      'nextHop' in more && more.nextHop
        ? body.subarray(more.nextHop.start, more.nextHop.end)
        : undefined;
    const set = setOf(receiver, body, attributes, nextHop);
    if ('kind' in set) {
      for (const part of parts) if (part.set) receiver.sets.drop(part.set);
      return set;
    }
    parts.push({ family, prefixes, set });
  }
  return parts.filter(({ family }) => families.includes(family));
}

function setOf(
  { peer, sets }: Receiver,
  body: Buffer,
  attributes: readonly Span[],
  nextHop: Buffer | undefined,
): AttributeSet | Notification {
  const hop = nextHop ? `m${nextHop.length}${nextHop.toString('latin1')}` : 'c';
  const key = `${peer.contextKey}${hop}${textOf(body, attributes)}`;
  const known = sets.find(key);
  if (known) return known;
  const decoded = sets.decode(key, joined(body, attributes), nextHop, peer.context);
  if (!('ok' in decoded)) return decoded;
  return decoded.ok ? notification(ERROR.update) : decoded.error;
}

const joined = (body: Buffer, pieces: readonly Span[]): Buffer =>
  Buffer.concat(pieces.map(({ start, end }) => body.subarray(start, end)));

function announce(
  { peer, policy, sets, ribOf }: Receiver,
  body: Buffer,
  { family, prefixes: { start, end } }: Part,
  set: AttributeSet,
  distrusted: boolean,
): void {
  const rib = ribOf(family);
  const { prefixes } = rib;
  const addPath = peer.agreed.addPathReceive.includes(family);
  const verdict = distrusted ? 'distrusted' : importSet(sets, policy, set);
  const filters = hasImportFilters(peer, family);
  const used = typeof verdict === 'string' ? NONE : verdict.id;
  const { ids, pathIds } = prefixes.upcoming;
  for (let at = start; at < end; ) {
    at = prefixes.lookAhead(body, at, end, addPath);
    prefixes.internUpcoming();
    const { count } = prefixes.upcoming;
    if ((filters || prefixes.upcoming.hasNobodys) && typeof verdict !== 'string')
      for (let i = 0; i < count; i++) {
        const own = importPrefix(sets, policy, verdict, prefixes, ids[i]!);
        const accepted = typeof own === 'string' ? NONE : own.id;
        rib.learn(ids[i]!, peer.index, addPath ? pathIds[i]! : 0, set.id, accepted);
      }
    else if (addPath)
      for (let i = 0; i < count; i++) rib.learn(ids[i]!, peer.index, pathIds[i]!, set.id, used);
    else rib.learnMany(ids, count, peer.index, set.id, used);
  }
}

function withdraw(
  { peer, ribOf }: Receiver,
  body: Buffer,
  { family, prefixes: { start, end } }: Part,
): void {
  const rib = ribOf(family);
  const { prefixes } = rib;
  const addPath = peer.agreed.addPathReceive.includes(family);
  const { ids, pathIds } = prefixes.upcoming;
  for (let at = start; at < end; ) {
    at = prefixes.lookAhead(body, at, end, addPath);
    prefixes.findUpcoming();
    for (let i = 0; i < prefixes.upcoming.count; i++)
      if (ids[i]! >= 0) rib.unlearn(ids[i]!, peer.index, addPath ? pathIds[i]! : 0);
  }
}
