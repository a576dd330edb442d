// Walks over the paths of a peer that is away, whose routes are kept beyond its session.
import type { Family } from '../../net/ip.ts';
import type { Peer } from './peer.ts';
import { LLGR_STALE, NO_LLGR, standard, withCommunities } from './policy/communities.ts';
import type { AttributeSets } from './routes/attribute-sets.ts';
import type { Rib } from './routes/rib.ts';
import type { Walks } from './walks.ts';

export interface AgingParts {
  readonly sets: AttributeSets;
  readonly ribs: Readonly<Record<Family, Rib>>;
  readonly walks: Walks;
}

/** RFC 9494 section 4.3: marked, least preferred, and gone where the origin wants that. */
export function makeLongLived(parts: AgingParts, { index }: Peer, family: Family): void {
  const { sets, ribs, walks } = parts;
  const rib = ribs[family];
  walks.begin('long-lived', rib, index, (path) => {
    const { paths } = rib;
    if (!rib.isStale(path) || paths.used[path]! < 0) return;
    const set = sets.at(paths.used[path]!);
    if (set.attributes.communities?.includes(NO_LLGR)) {
      rib.removePath(path);
      return;
    }
    const { attributes, nextHop } = set;
    const marked = () => ({
      attributes: withCommunities(attributes, [standard(LLGR_STALE)]),
      nextHop,
    });
    rib.reconsider(path, sets.intern(`${set.key}|stale`, marked).id);
  });
}

/** A peer that fell silent is most likely dead, and so are the ways through itself. */
export function dropThrough(parts: AgingParts, { index, policy }: Peer, family: Family): void {
  const { sets, ribs, walks } = parts;
  const rib = ribs[family];
  walks.begin('through', rib, index, (path) => {
    if (rib.isStale(path) && sets.at(rib.paths.raw[path]!).nextHop === policy.address)
      rib.removePath(path);
  });
}
