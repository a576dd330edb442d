// What a peer is told: own prefixes, and learned paths as RFC 4271 section 9.1.3 and 9.2 allow. A
// path learned inside the AS is never told to another peer inside it: the mesh has told it already.
// `announcementsFor` says what a peer should know, `updatesBetween` how to get it there.
import { assert } from '../base/assert.ts';
import { delta } from '../base/delta.ts';
import type { Asn } from '../net/asn.ts';
import { type Cidr, cidrFamily, containsCidr } from '../net/cidr.ts';
import { type Family, familyOf, type Ip } from '../net/ip.ts';
import { type AsSegment, encodeAttributes, type PathAttributes } from './codec/attributes.ts';
import { prefixOctets } from './codec/families.ts';
import { MESSAGE_OCTETS_MAX } from './codec/message.ts';
import type { Update } from './codec/update.ts';
import { DEFAULT_LOCAL_PREF, type Path } from './decide.ts';

/** Who is told. */
export interface ExportPeer {
  readonly address: Ip;
  readonly asn: Asn;
  readonly localAsn: Asn;
  /** Our address on the session: the next hop that we give. */
  readonly localAddress: Ip;
  readonly families: readonly Family[];
}

export interface ExportPool {
  readonly cidr: Cidr;
  readonly disabled: boolean;
  readonly disableBgpExport: boolean;
}

/** Prefix -> what is said of it. */
export type Announcements = ReadonlyMap<Cidr, Told>;
export interface Told {
  readonly nextHop: Ip;
  readonly attributes: PathAttributes;
}

export function announcementsFor(
  peer: ExportPeer,
  ownPrefixes: readonly Cidr[],
  best: Iterable<Path>,
  pools: readonly ExportPool[],
): Announcements {
  const told = new Map<Cidr, Told>();
  const speaks = (prefix: Cidr): boolean =>
    peer.families.includes(cidrFamily(prefix)) &&
    cidrFamily(prefix) === familyOf(peer.localAddress);
  for (const path of best) {
    // The cheap question first: in a mesh nearly all paths end here.
    const words = retell(path, peer);
    if (words && speaks(path.prefix) && insidePool(path.prefix, pools))
      told.set(path.prefix, words);
  }
  const own: Told = {
    nextHop: peer.localAddress,
    attributes: leaving({ origin: 'igp', asPath: [] }, peer),
  };
  for (const prefix of ownPrefixes) {
    if (speaks(prefix) && !exportDisabled(prefix, pools)) told.set(prefix, own);
  }
  return told;
}

const exportDisabled = (prefix: Cidr, pools: readonly ExportPool[]): boolean =>
  pools.some((pool) => pool.disableBgpExport && containsCidr(pool.cidr, prefix));

const insidePool = (prefix: Cidr, pools: readonly ExportPool[]): boolean =>
  !exportDisabled(prefix, pools) &&
  pools.some((pool) => !pool.disabled && containsCidr(pool.cidr, prefix));

const isExternal = ({ asn, localAsn }: ExportPeer): boolean => asn !== localAsn;

function retell(path: Path, peer: ExportPeer): Told | undefined {
  if (path.from === peer.address) return undefined;
  if (!isExternal(peer) && !path.external) return undefined;
  // Inside the AS the next hop stays, toward another AS it is us (RFC 4271 section 5.1.3).
  const nextHop = isExternal(peer) ? peer.localAddress : path.nextHop;
  return { nextHop, attributes: leaving(path.attributes, peer) };
}

// RFC 4271 section 5.1.2 to 5.1.5: AS_PATH grows and MED and LOCAL_PREF stay behind at the border.
function leaving(attributes: PathAttributes, peer: ExportPeer): PathAttributes {
  if (!isExternal(peer))
    return { ...attributes, localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF };
  const { med: _m, localPref: _l, originatorId: _o, clusterList: _c, ...rest } = attributes;
  return { ...rest, asPath: prepend(peer.localAsn, attributes.asPath) };
}

const SEGMENT_ASNS_MAX = 255;

function prepend(asn: Asn, path: readonly AsSegment[]): readonly AsSegment[] {
  const [first, ...rest] = path;
  if (first?.kind === 'sequence' && first.asns.length < SEGMENT_ASNS_MAX)
    return [{ kind: 'sequence', asns: [asn, ...first.asns] }, ...rest];
  return [{ kind: 'sequence', asns: [asn] }, ...path];
}

/** The messages that lead a peer from what it was told to what it should know. */
export function updatesBetween(before: Announcements, after: Announcements): readonly Update[] {
  const { put, remove } = delta(before, after, sameTold);
  const updates: Update[] = [];
  for (const family of [4, 6] as const) {
    const gone = remove.map(([prefix]) => prefix).filter((p) => cidrFamily(p) === family);
    for (const withdrawn of chunks(gone, ROOM)) {
      updates.push({ kind: 'update', withdrawn, announced: [] });
    }
  }
  for (const { told, prefixes } of grouped(put)) {
    const { nextHop, attributes } = told;
    const room = ROOM - encodeAttributes(attributes, nextHop, true).length;
    for (const part of chunks(prefixes, room)) {
      updates.push({
        kind: 'update',
        withdrawn: [],
        announced: [{ nextHop, prefixes: part }],
        attributes,
      });
    }
  }
  return updates;
}

// Header, the two lengths, and the largest frame of MP_REACH. An old speaker's AS4_PATH takes at
// most half of what its AS_PATH spares; the margin covers it for any path that a cluster has.
const ROOM = MESSAGE_OCTETS_MAX - 23 - 32 - 512;

const sameTold = (a: Told, b: Told): boolean => a === b || keyOf(a) === keyOf(b);
const keyOf = ({ nextHop, attributes }: Told): string =>
  `${nextHop} ${encodeAttributes(attributes, undefined, true).join()}`;

function grouped(put: readonly (readonly [Cidr, Told])[]) {
  const groups = new Map<string, { readonly told: Told; readonly prefixes: Cidr[] }>();
  for (const [prefix, told] of put) {
    const key = `${cidrFamily(prefix)} ${keyOf(told)}`;
    const group = groups.get(key) ?? { told, prefixes: [] };
    group.prefixes.push(prefix);
    groups.set(key, group);
  }
  return groups.values();
}

/** Cuts a list so that each part takes at most `octets`; attributes too long for any are dropped. */
function* chunks(prefixes: readonly Cidr[], octets: number): Generator<readonly Cidr[]> {
  const LARGEST_PREFIX = 17;
  if (octets < LARGEST_PREFIX) return;
  let [part, size]: [Cidr[], number] = [[], 0];
  for (const prefix of prefixes) {
    const more = prefixOctets(prefix);
    assert(more <= LARGEST_PREFIX, 'a prefix takes at most 17 octets');
    if (size + more > octets) {
      yield part;
      [part, size] = [[], 0];
    }
    part.push(prefix);
    size += more;
  }
  if (part.length > 0) yield part;
}
