// The prefixes that this node answers for, as paths that win over all others.
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import type { Community } from '../../net/community.ts';
import type { Family, Ip } from '../../net/ip.ts';
import { OWN } from './peer.ts';
import { withCommunities } from './policy/communities.ts';
import type { AttributeSets } from './routes/attribute-sets.ts';
import type { Rib } from './routes/rib.ts';

export interface OwnRoute {
  readonly prefix: Cidr;
  readonly communities?: readonly Community[];
  readonly localPref?: number;
  readonly source: 'block' | 'borrowed' | 'service' | 'additional';
}

/** Stands for our address on whatever session it is told. */
const SELF = '0.0.0.0' as Ip;

export class OwnRoutes {
  private readonly sets: AttributeSets;
  private readonly ribs: Readonly<Record<Family, Rib>>;
  private readonly present = new Map<Cidr, number>();
  private readonly ids: Readonly<Record<Family, Set<number>>> = { 4: new Set(), 6: new Set() };

  constructor(sets: AttributeSets, ribs: Readonly<Record<Family, Rib>>) {
    this.sets = sets;
    this.ribs = ribs;
  }

  has(family: Family, prefix: number): boolean {
    return this.ids[family].has(prefix);
  }

  /** Only the difference is done. */
  set(routes: readonly OwnRoute[]): void {
    const wanted = new Map(routes.map((route) => [route.prefix, route]));
    for (const [prefix, id] of this.present) {
      if (wanted.has(prefix)) continue;
      const family = cidrFamily(prefix);
      this.present.delete(prefix);
      this.ids[family].delete(id);
      this.ribs[family].unlearn(id, OWN, 0);
    }
    for (const [prefix, route] of wanted) this.put(prefix, route);
  }

  private put(prefix: Cidr, { communities = [], localPref }: OwnRoute): void {
    const family = cidrFamily(prefix);
    const rib = this.ribs[family];
    const bare = {
      origin: 'igp',
      asPath: [],
      ...(localPref === undefined ? {} : { localPref }),
    } as const;
    const attributes = withCommunities(bare, communities);
    const key = `own${JSON.stringify([bare, communities])}`;
    const set = this.sets.intern(key, () => ({ attributes, nextHop: SELF }));
    const id = this.present.get(prefix) ?? rib.prefixes.internCidr(prefix);
    this.present.set(prefix, id);
    this.ids[family].add(id);
    rib.learn(id, OWN, 0, set.id, set.id);
  }
}
