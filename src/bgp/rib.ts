// What was learned: each peer's announcements (Adj-RIB-In) and the best path per prefix (Loc-RIB).
// The table is changed in place, since it may be large; each change answers the prefixes whose best
// path is another one now. Own prefixes are not in it: an own block always wins over a learned one.
import type { Asn } from '../net/asn.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Ip, valueOfIp } from '../net/ip.ts';
import type { PathAttributes } from './codec/attributes.ts';
import type { Update } from './codec/update.ts';
import { bestPath, type Path } from './decide.ts';

export interface RibPeer {
  readonly address: Ip;
  readonly routerId: Ip;
  readonly external: boolean;
}

export interface OwnIdentity {
  readonly asn: Asn;
  readonly routerId: Ip;
  /** Own addresses: a path whose next hop is one of them is of no use. */
  readonly addresses: readonly Ip[];
}

export interface Rib {
  readonly paths: Map<Cidr, Map<Ip, Path>>;
  readonly best: Map<Cidr, Path>;
  /** Prefixes held, by the address of the peer that announced them. */
  readonly counts: Map<Ip, number>;
}

/** A peer that announces more than this is at fault; the caller ends the session (RFC 4486). */
export const PREFIXES_OF_PEER_MAX = 100_000;

export const newRib = (): Rib => ({ paths: new Map(), best: new Map(), counts: new Map() });

/** Takes in an UPDATE; answers the prefixes whose best path changed. */
export function learn(rib: Rib, own: OwnIdentity, peer: RibPeer, update: Update): readonly Cidr[] {
  const touched = new Set<Cidr>();
  for (const prefix of update.withdrawn) if (remove(rib, prefix, peer.address)) touched.add(prefix);
  for (const { nextHop, prefixes } of update.announced) {
    const { attributes } = update;
    const usable = attributes && isUsable(own, peer, attributes, nextHop);
    for (const prefix of prefixes) {
      touched.add(prefix);
      // An unusable path still replaces the usable one that was there (RFC 4271 section 9).
      if (!usable) remove(rib, prefix, peer.address);
      else put(rib, { prefix, nextHop, attributes, ...facts(peer) });
    }
  }
  return reconsider(rib, touched);
}

/** Forgets all that a peer said; answers the prefixes whose best path changed. */
export function forget(rib: Rib, peer: Ip): readonly Cidr[] {
  const touched = new Set<Cidr>();
  for (const prefix of rib.paths.keys()) if (remove(rib, prefix, peer)) touched.add(prefix);
  return reconsider(rib, touched);
}

const facts = ({ address, routerId, external }: RibPeer) => ({ from: address, routerId, external });

function isUsable(own: OwnIdentity, peer: RibPeer, attributes: PathAttributes, nextHop: Ip) {
  const looped = attributes.asPath.some(({ asns }) => asns.includes(own.asn));
  const returned = attributes.originatorId === own.routerId;
  return !(looped && peer.external) && !returned && isUnicastHost(nextHop, own.addresses);
}

// RFC 4271 section 6.3: a next hop is a host's address, and not our own.
function isUnicastHost(nextHop: Ip, own: readonly Ip[]): boolean {
  if (own.includes(nextHop)) return false;
  const value = valueOfIp(nextHop);
  if (nextHop.includes(':')) return value > 1n && value >> 120n !== 0xffn;
  const first = Number(value >> 24n);
  return first !== 0 && first !== 127 && first < 224;
}

function put(rib: Rib, path: Path): void {
  const paths = rib.paths.get(path.prefix) ?? new Map<Ip, Path>();
  if (!paths.has(path.from)) rib.counts.set(path.from, (rib.counts.get(path.from) ?? 0) + 1);
  paths.set(path.from, path);
  rib.paths.set(path.prefix, paths);
}

function remove(rib: Rib, prefix: Cidr, peer: Ip): boolean {
  const paths = rib.paths.get(prefix);
  const removed = paths?.delete(peer) ?? false;
  if (removed) rib.counts.set(peer, rib.counts.get(peer)! - 1);
  if (paths?.size === 0) rib.paths.delete(prefix);
  return removed;
}

function reconsider(rib: Rib, prefixes: ReadonlySet<Cidr>): readonly Cidr[] {
  return [...prefixes].filter((prefix) => {
    const best = bestPath([...(rib.paths.get(prefix)?.values() ?? [])]);
    if (best === rib.best.get(prefix)) return false;
    if (best) rib.best.set(prefix, best);
    else rib.best.delete(prefix);
    return true;
  });
}
