// The peers of a table: their sessions' coming and going, their policies, and what stays of them
// while they restart (RFC 4724 section 4.2, RFC 9494 section 4.2).
import type { Milliseconds } from '../../base/clock.ts';
import type { Family, Ip } from '../../net/ip.ts';
import { dropThrough, makeLongLived } from './aging.ts';
import type { Neighbour, NeighbourParts } from './neighbour.ts';
import { sourceOf } from './out/export.ts';
import { type Agreed, type Peer, type PeerPolicy, peerOf } from './peer.ts';
import {
  type ImportPolicy,
  importKey,
  importPrefix,
  importSet,
  type OwnIdentity,
} from './policy/import.ts';
import type { Receiver } from './receive.ts';
import type { ImportVerdict } from './routes/attribute-sets.ts';
import { NONE } from './routes/paths.ts';
import type { Rib } from './routes/rib.ts';
import { boundOf, type Kept, keepsForwarding, livesLong, REFRESH_MS, staleOf } from './stale.ts';

const FAMILIES = [4, 6] as const;

export class Neighbours {
  private readonly parts: NeighbourParts;
  private readonly byKey = new Map<string, Neighbour>();
  /** By number; 0 is this node itself. */
  private readonly byIndex: (Neighbour | undefined)[] = [undefined];
  private readonly policies = new Map<string, ImportPolicy>();
  private policiesMade = 0;
  private own: OwnIdentity;

  constructor(parts: NeighbourParts, own: OwnIdentity) {
    this.parts = parts;
    this.own = own;
  }

  at(index: number): Peer | undefined {
    return this.byIndex[index]?.peer;
  }

  keyAt(index: number): string {
    return this.byIndex[index]?.peer.key ?? '';
  }

  /** Why a path is not accepted. */
  refusal(rib: Rib, path: number): string | undefined {
    const neighbour = this.byIndex[rib.paths.peer[path]!];
    const verdict = neighbour && this.verdict(neighbour, rib, path);
    return typeof verdict === 'string' ? verdict : undefined;
  }

  receiver(key: string): Receiver | undefined {
    const neighbour = this.byKey.get(key);
    if (!neighbour?.up) return undefined;
    const { sets, ribs } = this.parts;
    return { peer: neighbour.peer, policy: neighbour.policy, sets, ribOf: (f) => ribs[f] };
  }

  setIdentity(own: OwnIdentity): void {
    if (JSON.stringify(own) === JSON.stringify(this.own)) return;
    this.own = own;
    this.policies.clear();
    this.parts.sets.forgetImports();
    for (const neighbour of this.byKey.values()) {
      neighbour.policy = this.policyOf(neighbour.peer);
      this.importAgain(neighbour);
    }
  }

  some(concerned: (peer: Peer) => boolean): boolean {
    return [...this.byKey.values()].some(({ peer }) => concerned(peer));
  }

  /** Filters find other conditions: the paths of these peers are looked at again. */
  reconsider(concerned: (peer: Peer) => boolean): void {
    for (const neighbour of this.byKey.values())
      if (concerned(neighbour.peer)) this.importAgain(neighbour);
  }

  up(key: string, policy: PeerPolicy, localAddress: Ip, agreed: Agreed): void {
    const known = this.byKey.get(key);
    const index = known?.peer.index ?? this.freeIndex();
    const peer = peerOf(index, key, policy, localAddress, agreed);
    if (known) this.replace(known, peer);
    else {
      const neighbour = {
        ...{ peer, policy: this.policyOf(peer), up: true },
        ...{ stale: new Map(), refreshing: new Map(), telling: new Set<Family>() },
      };
      this.byKey.set(key, neighbour);
      this.byIndex[index] = neighbour;
    }
    const neighbour = this.byKey.get(key)!;
    neighbour.up = true;
    for (const family of FAMILIES) {
      if (neighbour.stale.has(family) && !keepsForwarding(agreed, family))
        this.forgot(neighbour, family);
      if (!agreed.families.includes(family)) continue;
      if (agreed.gracefulRestart) neighbour.telling.add(family);
      this.parts.exports[family].join(peer);
    }
  }

  down(key: string, keeps: Kept, now: Milliseconds): void {
    const neighbour = this.byKey.get(key);
    if (!neighbour?.up) return;
    neighbour.up = false;
    neighbour.telling.clear();
    neighbour.refreshing.clear();
    const { index, agreed } = neighbour.peer;
    for (const family of FAMILIES) {
      this.parts.exports[family].leave(index);
      const rib = this.parts.ribs[family];
      const kept = staleOf(agreed, family, keeps, now);
      rib.makeStale(index);
      if (!kept) {
        this.drop(neighbour, family);
        continue;
      }
      neighbour.stale.set(family, kept);
      if (keeps === 'beyond') dropThrough(this.parts, neighbour.peer, family);
    }
  }

  remove(key: string): void {
    const neighbour = this.byKey.get(key);
    if (!neighbour) return;
    this.down(key, 'nothing', 0);
    this.byKey.delete(key);
    for (const family of FAMILIES) this.drop(neighbour, family);
  }

  setPolicy(key: string, policy: PeerPolicy): void {
    const neighbour = this.byKey.get(key);
    if (!neighbour) return;
    const { index, localAddress, agreed } = neighbour.peer;
    const peer = peerOf(index, key, policy, localAddress, agreed);
    this.replace(neighbour, peer);
    if (!neighbour.up) return;
    for (const family of agreed.families) this.parts.exports[family].join(peer);
  }

  /** End-of-RIB: what the peer has not told again is gone. */
  toldAll(key: string, family: Family): void {
    const neighbour = this.byKey.get(key);
    neighbour?.telling.delete(family);
    const stale = neighbour?.stale.get(family);
    if (!neighbour || !stale) return;
    if (stale.longLived) neighbour.stale.set(family, { ...stale, told: true });
    else this.drop(neighbour, family);
  }

  /** RFC 7313 section 4.2; before the End-of-RIB a begin is ignored, without a begin an end. */
  refresh(key: string, family: Family, kind: 'request' | 'begin' | 'end', now: Milliseconds): void {
    const neighbour = this.byKey.get(key);
    if (!neighbour?.up) return;
    const { index, agreed } = neighbour.peer;
    if (kind === 'request')
      this.parts.exports[family].retell(index, agreed.enhancedRefresh ?? false);
    else if (kind === 'end') {
      if (neighbour.refreshing.has(family)) this.drop(neighbour, family);
    } else if (!neighbour.telling.has(family)) {
      this.parts.ribs[family].makeStale(index);
      neighbour.refreshing.set(family, now + REFRESH_MS);
    }
  }

  /** Ends what has been stale for long enough. */
  expire(now: Milliseconds): void {
    for (const neighbour of this.byKey.values()) {
      for (const [family, until] of neighbour.refreshing)
        if (until <= now) this.drop(neighbour, family);
      for (const [family, kept] of neighbour.stale) {
        const { thenMs, longLived } = kept;
        // It is back, and may never say that it has told all.
        const until = neighbour.up ? boundOf(kept, now) : kept.until;
        if (until < kept.until) neighbour.stale.set(family, { ...kept, until });
        if (until > now) continue;
        if (longLived || thenMs === 0 || neighbour.up) {
          this.drop(neighbour, family);
          continue;
        }
        neighbour.stale.set(family, { until: now + thenMs, thenMs: 0, longLived: true });
        makeLongLived(this.parts, neighbour.peer, family);
      }
    }
  }

  get nextDeadline(): Milliseconds | undefined {
    const all = [...this.byKey.values()].flatMap(({ stale, refreshing }) => [
      ...[...stale.values()].map(({ until }) => until),
      ...refreshing.values(),
    ]);
    return all.length === 0 ? undefined : Math.min(...all);
  }

  count(key: string): number {
    const index = this.byKey.get(key)?.peer.index;
    if (index === undefined) return 0;
    const { ribs } = this.parts;
    return FAMILIES.reduce((sum, family) => sum + ribs[family].paths.countOf(index), 0);
  }

  routerIdOf(key: string): Ip | undefined {
    return this.byKey.get(key)?.peer.agreed.peerRouterId;
  }

  toldTo(key: string): number {
    const index = this.byKey.get(key)?.peer.index;
    if (index === undefined) return 0;
    return FAMILIES.reduce((sum, f) => sum + this.parts.exports[f].toldTo(index), 0);
  }

  // RFC 4724 section 4.2; what it told of others does not hang on its own forwarding state.
  private forgot(neighbour: Neighbour, family: Family): void {
    const { peer } = neighbour;
    if (livesLong(peer.agreed, family)) dropThrough(this.parts, peer, family);
    else this.drop(neighbour, family);
  }

  private drop(neighbour: Neighbour, family: Family): void {
    const { ribs, walks } = this.parts;
    neighbour.stale.delete(family);
    neighbour.refreshing.delete(family);
    ribs[family].makeVoid(neighbour.peer.index);
    walks.sweep(ribs[family], neighbour.peer.index);
  }

  // Other facts about a peer may change what others are told of its paths, and what they are worth.
  private replace(neighbour: Neighbour, peer: Peer): void {
    const before = neighbour.peer;
    neighbour.peer = peer;
    const policy = this.policyOf(peer);
    if (policy !== neighbour.policy) {
      neighbour.policy = policy;
      this.importAgain(neighbour);
    }
    if (JSON.stringify(sourceOf(before)) !== JSON.stringify(sourceOf(peer)))
      for (const family of FAMILIES) this.parts.exports[family].rewordAll();
  }

  private policyOf(peer: Peer): ImportPolicy {
    const key = importKey(peer);
    let policy = this.policies.get(key);
    if (!policy) {
      this.policiesMade += 1;
      policy = { id: this.policiesMade, peer, own: this.own, conditions: this.parts.conditions };
      this.policies.set(key, policy);
    }
    return policy;
  }

  private importAgain(neighbour: Neighbour): void {
    const { ribs, walks } = this.parts;
    for (const family of FAMILIES) {
      const rib = ribs[family];
      walks.begin('import', rib, neighbour.peer.index, (path) => {
        const used = this.verdict(neighbour, rib, path);
        rib.reconsider(path, typeof used === 'string' ? NONE : used.id);
      });
    }
  }

  private verdict({ policy }: Neighbour, { paths, prefixes }: Rib, path: number): ImportVerdict {
    const { sets } = this.parts;
    const verdict = importSet(sets, policy, sets.at(paths.raw[path]!));
    if (typeof verdict === 'string') return verdict;
    return importPrefix(sets, policy, verdict, prefixes, paths.prefix[path]!);
  }

  // Of a peer that was removed the number is free when its last path is swept.
  private freeIndex(): number {
    const { ribs } = this.parts;
    for (const [index, neighbour] of this.byIndex.entries()) {
      if (!neighbour || neighbour.up || this.byKey.get(neighbour.peer.key) === neighbour) continue;
      if (FAMILIES.every((f) => ribs[f].paths.countOf(index) === 0)) return index;
    }
    return this.byIndex.length;
  }
}
