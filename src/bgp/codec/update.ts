// UPDATE: prefixes that came and went, with the attributes they share (RFC 4271 section 4.3). Both
// families look alike here: IPv4 travels in the classic fields, IPv6 in MP_REACH and MP_UNREACH.
//
//   | withdrawn length (2) | withdrawn ... | attributes length (2) | attributes ... | NLRI ... |
import { fail, ok, type Result } from '../../base/result.ts';
import type { Cidr } from '../../net/cidr.ts';
import { bytesOfIp, type Family, familyOf, type Ip } from '../../net/ip.ts';
import {
  type AsSegment,
  attribute,
  encodeAttributes,
  type PathAttributes,
  TYPE,
} from './attributes.ts';
import { type Found, foundIn, type WireContext } from './decode-attributes.ts';
import { AFI_OF, decodePrefixes, encodePrefixes, ofFamily, SAFI_UNICAST } from './families.ts';
import { ERROR, type Notification, notification, UPDATE_ERROR } from './notification.ts';
import { OutOfBounds, Reader, u16 } from './reader.ts';

export interface Announcement {
  readonly nextHop: Ip;
  /** All of the next hop's family. */
  readonly prefixes: readonly Cidr[];
}

export interface Update {
  readonly kind: 'update';
  readonly withdrawn: readonly Cidr[];
  /** When encoded: at most one of each family. */
  readonly announced: readonly Announcement[];
  /** Present exactly when something is announced. */
  readonly attributes?: PathAttributes;
  /** End-of-RIB of this family (RFC 4724 section 2); nothing else is in the message then. */
  readonly endOfRib?: Family;
  /** What was wrong and made prefixes withdrawn or attributes discarded; never sent. */
  readonly faults?: readonly string[];
}

export const endOfRib = (family: Family): Update => ({
  kind: 'update',
  withdrawn: [],
  announced: [],
  endOfRib: family,
});

export function encodeUpdate(update: Update, fourOctetAs: boolean): Uint8Array {
  const v4 = update.announced.find(({ nextHop }) => familyOf(nextHop) === 4);
  const v6 = update.announced.find(({ nextHop }) => familyOf(nextHop) === 6);
  const withdrawn4 = encodePrefixes(ofFamily(update.withdrawn, 4));
  const withdrawn6 = ofFamily(update.withdrawn, 6);
  const attributes = [
    ...(update.attributes ? encodeAttributes(update.attributes, v4?.nextHop, fourOctetAs) : []),
    ...(v6 ? mpReach(v6) : []),
    ...(withdrawn6.length > 0 || update.endOfRib === 6 ? mpUnreach(withdrawn6) : []),
  ];
  return Uint8Array.from([
    ...u16(withdrawn4.length),
    ...withdrawn4,
    ...u16(attributes.length),
    ...attributes,
    ...encodePrefixes(v4?.prefixes ?? []),
  ]);
}

const mpReach = ({ nextHop, prefixes }: Announcement): number[] => {
  const family = [...u16(AFI_OF[6]), SAFI_UNICAST];
  return attribute(TYPE.mpReach, [
    ...[...family, 16, ...bytesOfIp(nextHop), 0],
    ...encodePrefixes(prefixes),
  ]);
};

const mpUnreach = (prefixes: readonly Cidr[]): number[] =>
  attribute(TYPE.mpUnreach, [...u16(AFI_OF[6]), SAFI_UNICAST, ...encodePrefixes(prefixes)]);

/** Errors: the NOTIFICATION where RFC 7606 still demands a session reset. */
export function decodeUpdate(body: Uint8Array, context: WireContext): Result<Update, Notification> {
  const wrong = (subcode: number) => fail(notification(ERROR.update, subcode));
  let found: Result<Found, Notification>;
  let classic: { readonly withdrawn: Reader; readonly announced: Reader };
  try {
    const reader = new Reader(body);
    const withdrawn = reader.part(reader.u16());
    const attributes = reader.take(reader.u16());
    classic = { withdrawn, announced: reader };
    found = foundIn(attributes, context);
  } catch (error) {
    if (error instanceof OutOfBounds) return wrong(UPDATE_ERROR.malformedAttributeList);
    throw error;
  }
  if (!found.ok) return found;
  try {
    const withdrawn = decodePrefixes(classic.withdrawn, 4);
    const announced = decodePrefixes(classic.announced, 4);
    // RFC 7606 section 5.2: without a prefix nothing can count as withdrawn.
    const nothing = announced.length === 0 && !found.value.reached?.prefixes.length;
    if (nothing && found.value.faults.length > 0) return wrong(UPDATE_ERROR.malformedAttributeList);
    return ok(assemble(body, found.value, withdrawn, announced, context));
  } catch (error) {
    if (error instanceof OutOfBounds) return wrong(UPDATE_ERROR.invalidNetwork);
    throw error;
  }
}

function assemble(
  body: Uint8Array,
  found: Found,
  withdrawn4: readonly Cidr[],
  announced4: readonly Cidr[],
  context: WireContext,
): Update {
  const reached = found.reached && found.reached.prefixes.length > 0 ? found.reached : undefined;
  const announces = announced4.length > 0 || reached !== undefined;
  const faults = [...found.faults, ...(announces ? missing(found, announced4, context) : [])];
  const all = [...withdrawn4, ...(found.withdrawn?.prefixes ?? [])];
  const notes = [...faults, ...found.discarded];
  const common = { kind: 'update' as const, ...(notes.length > 0 ? { faults: notes } : {}) };
  const { origin, asPath } = found.draft;
  // Treat as withdraw: an announcement that cannot be believed replaces what was there before.
  if (announces && (faults.length > 0 || !origin || !asPath)) {
    const distrusted = [...announced4, ...(reached?.prefixes ?? [])];
    return { ...common, withdrawn: [...new Set([...all, ...distrusted])], announced: [] };
  }
  if (!announces || !origin || !asPath) {
    const end = all.length === 0 ? endOfRibFamily(body, found) : undefined;
    return { ...common, withdrawn: all, announced: [], ...(end ? { endOfRib: end } : {}) };
  }
  const announced: Announcement[] = [
    ...(found.nextHop && announced4.length > 0
      ? [{ nextHop: found.nextHop, prefixes: announced4 }]
      : []),
    ...(reached ? [{ nextHop: reached.nextHop, prefixes: reached.prefixes }] : []),
  ];
  const attributes = { ...found.draft, origin, asPath: trueAsPath(asPath, found.as4Path) };
  const come = new Set(announced.flatMap(({ prefixes }) => prefixes));
  // A prefix in both fields counts as announced (RFC 4271 section 4.3).
  const gone = all.filter((prefix) => !come.has(prefix));
  return { ...common, withdrawn: gone, announced, attributes: attributes as PathAttributes };
}

function missing(found: Found, announced4: readonly Cidr[], { external }: WireContext): string[] {
  const { origin, asPath, localPref } = found.draft;
  return [
    ...(origin ? [] : ['ORIGIN is missing']),
    ...(asPath ? [] : ['AS_PATH is missing']),
    ...(announced4.length > 0 && !found.nextHop ? ['NEXT_HOP is missing'] : []),
    ...(localPref === undefined && !external ? ['LOCAL_PREF is missing'] : []),
  ];
}

// An UPDATE of 23 octets, or one with nothing but an empty MP_UNREACH_NLRI.
function endOfRibFamily(body: Uint8Array, found: Found): Family | undefined {
  if (body.length === 4) return 4;
  const { withdrawn } = found;
  const only = body.length === 4 + 6 || body.length === 4 + 7;
  return withdrawn?.prefixes.length === 0 && only ? withdrawn.family : undefined;
}

// RFC 6793 section 4.2.3: the leading part that only old speakers wrote, then the AS4_PATH.
function trueAsPath(
  path: readonly AsSegment[],
  as4Path: readonly AsSegment[] | undefined,
): readonly AsSegment[] {
  if (!as4Path) return path;
  let extra = lengthOfAsPath(path) - lengthOfAsPath(as4Path);
  if (extra < 0) return path;
  const leading: AsSegment[] = [];
  for (const segment of path) {
    if (extra <= 0) break;
    const asns = segment.kind === 'sequence' ? segment.asns.slice(0, extra) : segment.asns;
    leading.push({ ...segment, asns });
    extra -= segment.kind === 'sequence' ? asns.length : 1;
  }
  return [...leading, ...as4Path];
}

/** A set counts as one, confederation segments as none (RFC 4271 section 9.1.2.2, RFC 5065). */
export const lengthOfAsPath = (path: readonly AsSegment[]): number =>
  path.reduce(
    (sum, { kind, asns }) => sum + (kind === 'sequence' ? asns.length : kind === 'set' ? 1 : 0),
    0,
  );
