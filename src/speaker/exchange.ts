// What was learned from the peers and what each was told: the routing table of one speaker without
// its sockets. Answers the messages that must be sent.
import type { Update } from '../bgp/codec/update.ts';
import { endOfRib } from '../bgp/codec/update.ts';
import type { Path } from '../bgp/decide.ts';
import {
  type Announcements,
  announcementsFor,
  type ExportPeer,
  type ExportPool,
  updatesBetween,
} from '../bgp/export.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Family, Ip } from '../net/ip.ts';

export interface Exchange {
  /** What each established peer was told, by its address. */
  readonly told: Map<Ip, { readonly peer: ExportPeer; announcements: Announcements }>;
}

export interface ToTell {
  /** What this node answers for. */
  readonly announced: readonly Cidr[];
  readonly best: ReadonlyMap<Cidr, Path>;
  readonly pools: readonly ExportPool[];
}

export const newExchange = (): Exchange => ({ told: new Map() });

/** A session came up: everything, then the end-of-RIB mark (RFC 4724) of each family. */
export function greet(exchange: Exchange, peer: ExportPeer, facts: ToTell): readonly Update[] {
  exchange.told.set(peer.address, { peer, announcements: new Map() });
  return [...news(exchange, peer.address, facts), ...peer.families.map(endOfRib)];
}

/** A session ended. */
export const farewell = (exchange: Exchange, peer: Ip): void => void exchange.told.delete(peer);

/** What a peer does not know yet; it counts as told. */
export function news(exchange: Exchange, peer: Ip, facts: ToTell): readonly Update[] {
  const entry = exchange.told.get(peer);
  if (!entry) return [];
  const best = facts.best.values();
  const after = announcementsFor(entry.peer, facts.announced, best, facts.pools);
  const updates = updatesBetween(entry.announcements, after);
  entry.announcements = after;
  return updates;
}

/** Everything of a family again (RFC 2918). */
export function retellAll(
  exchange: Exchange,
  peer: Ip,
  family: Family,
  facts: ToTell,
): readonly Update[] {
  const entry = exchange.told.get(peer);
  if (!entry) return [];
  entry.announcements = new Map();
  return [...news(exchange, peer, facts), endOfRib(family)];
}
