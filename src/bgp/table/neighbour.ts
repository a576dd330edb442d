// One peer as the table remembers it, whether its session is up or not.
import type { Milliseconds } from '../../base/clock.ts';
import type { Family } from '../../net/ip.ts';
import type { Exports } from './out/exports.ts';
import type { Peer } from './peer.ts';
import type { Conditions } from './policy/conditions.ts';
import type { ImportPolicy } from './policy/import.ts';
import type { AttributeSets } from './routes/attribute-sets.ts';
import type { Rib } from './routes/rib.ts';
import type { Stale } from './stale.ts';
import type { Walks } from './walks.ts';

export interface Neighbour {
  peer: Peer;
  policy: ImportPolicy;
  up: boolean;
  /** Families whose stale paths are kept, and until when. */
  readonly stale: Map<Family, Stale>;
  /** Families that it is telling again, and how long that may take (RFC 7313). */
  readonly refreshing: Map<Family, Milliseconds>;
  /** Families whose End-of-RIB is yet to come. */
  readonly telling: Set<Family>;
}

export interface NeighbourParts {
  readonly sets: AttributeSets;
  readonly ribs: Readonly<Record<Family, Rib>>;
  readonly exports: Readonly<Record<Family, Exports>>;
  readonly walks: Walks;
  readonly conditions: Conditions;
}
