// One family's routes: what the peers said (Adj-RIB-In) and the best path per prefix (Loc-RIB).
// Hearing and deciding are apart: a path that comes or goes only marks its prefix, and `decideSome`
// looks at marked prefixes once, however many of their paths have changed meanwhile.
import type { Family, Ip } from '../../../net/ip.ts';
import { OWN } from '../peer.ts';
import { DEFAULT_PRIORITIES, preferenceOf } from '../policy/conditions.ts';
import type { AttributeSets } from './attribute-sets.ts';
import { grown, roomAbove } from './columns.ts';
import { type Candidate, decide, hopsOf, type Surroundings } from './decide.ts';
import { NONE, Paths } from './paths.ts';
import { Prefixes } from './prefixes.ts';
import { Queue } from './queue.ts';
import { Revision } from './revision.ts';
import { Sources } from './sources.ts';

const CAPACITY_MIN = 4096;

export class Rib {
  readonly family: Family;
  readonly prefixes: Prefixes;
  readonly paths = new Paths();
  readonly sets: AttributeSets;
  /** The set of the best path, by prefix, plus 1: 0 where there is no path; and who told it. */
  private bestSets = new Int32Array(CAPACITY_MIN);
  private bestPeers = new Int32Array(CAPACITY_MIN);
  /** Prefixes with another outcome, whom the export has yet to look at. */
  readonly changed = new Queue();
  /** Somebody is told every path, so that each change of one is a change (RFC 7911). */
  everyPath = false;
  readonly revision = new Revision(this);
  private normalPriority: number;
  private readonly dirty = new Queue();
  /** Next hops where several paths are equal, the best path's first. */
  private readonly shared = new Map<number, readonly Ip[]>();
  private readonly sources = new Sources();
  private readonly around: Surroundings;

  constructor(family: Family, sets: AttributeSets, around: Surroundings) {
    this.family = family;
    this.sets = sets;
    this.around = around;
    this.prefixes = new Prefixes(family);
    this.normalPriority = DEFAULT_PRIORITIES[family];
  }

  /** For so many prefixes and paths, while there are few to copy. */
  widen(length: number): void {
    for (const columns of [this.prefixes, this.paths, this.dirty, this.changed])
      columns.widen(length);
    if (length > this.bestSets.length) this.widenBest(length);
  }

  setNormalPriority(priority: number): void {
    this.normalPriority = priority;
    this.revision.begin();
  }

  /** A path came, or came again. `used`: what import made of it; `NONE`: it is of no use. */
  learn(prefix: number, peer: number, pathId: number, raw: number, used: number): void {
    const { paths, sets } = this;
    const { epoch, floor } = this.sources.of(peer);
    const known = paths.find(prefix, peer, pathId);
    if (known >= 0) {
      const isVoid = paths.epoch[known]! < floor;
      paths.epoch[known] = epoch;
      if (paths.raw[known] === raw && paths.used[known] === used && !isVoid) return;
    }
    sets.retain(raw);
    if (used >= 0) sets.retain(used);
    if (known >= 0) this.releaseSets(known);
    this.write(known >= 0 ? known : paths.add(prefix, peer, pathId), raw, used, epoch);
    this.mark(prefix);
  }

  /** Paths without identifiers that came together; the order of the prefixes is lost. */
  learnMany(prefixes: Int32Array, count: number, peer: number, raw: number, used: number): void {
    const { paths, sets, dirty } = this;
    const { epoch } = this.sources.of(peer);
    const fresh = paths.addMany(prefixes, count, peer, { raw, used, epoch });
    sets.retain(raw, fresh);
    if (used >= 0) sets.retain(used, fresh);
    dirty.putMany(prefixes, fresh);
    this.relearn(prefixes.subarray(fresh, count), peer, raw, used);
  }

  // Where there are paths already.
  private relearn(prefixes: Int32Array, peer: number, raw: number, used: number): void {
    const { paths, sets, dirty } = this;
    const { epoch, floor } = this.sources.of(peer);
    sets.retain(raw, prefixes.length);
    if (used >= 0) sets.retain(used, prefixes.length);
    // Of what was told together before, the sets are the same: they are released together.
    let [formerRaw, formerUsed, formers, kept] = [NONE, NONE, 0, 0];
    for (const prefix of prefixes) {
      let path = paths.find(prefix, peer, 0);
      if (path < 0) path = paths.add(prefix, peer, 0);
      else {
        const [before, usedBefore] = [paths.raw[path]!, paths.used[path]!];
        const isVoid = paths.epoch[path]! < floor;
        paths.epoch[path] = epoch;
        if (before === raw && usedBefore === used && !isVoid) {
          kept += 1;
          continue;
        }
        if (before !== formerRaw || usedBefore !== formerUsed) {
          this.releaseBoth(formerRaw, formerUsed, formers);
          [formerRaw, formerUsed, formers] = [before, usedBefore, 0];
        }
        formers += 1;
      }
      this.write(path, raw, used, epoch);
      dirty.put(prefix);
    }
    this.releaseBoth(formerRaw, formerUsed, formers);
    this.releaseBoth(raw, used, kept);
  }

  private releaseBoth(raw: number, used: number, count: number): void {
    if (count === 0) return;
    this.sets.release(raw, count);
    if (used >= 0) this.sets.release(used, count);
  }

  /** A path went. */
  unlearn(prefix: number, peer: number, pathId: number): void {
    const path = this.paths.find(prefix, peer, pathId);
    if (path >= 0) this.removePath(path);
  }

  removePath(path: number): void {
    const prefix = this.paths.prefix[path]!;
    this.releaseSets(path);
    this.paths.remove(path);
    this.mark(prefix);
  }

  /** Another verdict of import on a path that stays. */
  reconsider(path: number, used: number): void {
    if (this.paths.used[path] === used) return;
    if (used >= 0) this.sets.retain(used);
    const before = this.paths.used[path]!;
    this.paths.used[path] = used;
    if (before >= 0) this.sets.release(before);
    this.mark(this.paths.prefix[path]!);
  }

  /** From now on the peer's paths are stale until they are told again (RFC 4724 section 4.2). */
  makeStale(peer: number): void {
    this.sources.of(peer).epoch += 1;
  }

  /** Stale paths of the peer count no more; `sweep` removes them. */
  makeVoid(peer: number): void {
    const source = this.sources.of(peer);
    source.floor = source.epoch;
  }

  isStale(path: number): boolean {
    return this.paths.epoch[path]! < this.sources.of(this.paths.peer[path]!).epoch;
  }

  isVoid(path: number): boolean {
    return this.paths.epoch[path]! < this.sources.of(this.paths.peer[path]!).floor;
  }

  /** Decides up to `count` marked prefixes. */
  decideSome(count: number): void {
    for (let i = 0; i < count && this.dirty.length > 0; i++) this.decideOne(this.dirty.take());
  }

  get undecided(): number {
    return this.dirty.length;
  }

  /** The paths that count, as the decision sees them. */
  candidates(prefix: number): Candidate[] {
    const { paths } = this;
    const found: Candidate[] = [];
    for (let path = paths.headOf(prefix); path >= 0; path = paths.next(path))
      if (this.counts(path)) found.push(this.candidate(path));
    return found;
  }

  /** The set of the best path; `NONE`: no path. */
  bestSet(prefix: number): number {
    return prefix < this.bestSets.length ? this.bestSets[prefix]! - 1 : NONE;
  }

  /** Who told the best path. */
  bestPeer(prefix: number): number {
    return this.bestPeers[prefix]!;
  }

  /** Where packets go: the best path's next hop first; none when there is no path. */
  nextHops(prefix: number): readonly Ip[] {
    const set = this.bestSet(prefix);
    if (set < 0) return [];
    return this.shared.get(prefix) ?? [this.sets.at(set).nextHop];
  }

  /** Whether nothing is known of the prefix and nothing is on its way. */
  isIdle(prefix: number): boolean {
    const known = this.paths.headOf(prefix) >= 0 || this.bestSet(prefix) >= 0;
    return !known && !this.dirty.has(prefix) && !this.changed.has(prefix);
  }

  counts(path: number): boolean {
    const { paths } = this;
    return paths.used[path]! >= 0 && paths.epoch[path]! >= this.sources.of(paths.peer[path]!).floor;
  }

  /** The prefix is to be decided anew. */
  mark(prefix: number): void {
    this.dirty.put(prefix);
  }

  private write(path: number, raw: number, used: number, epoch: number): void {
    this.paths.raw[path] = raw;
    this.paths.used[path] = used;
    if (epoch !== 0) this.paths.epoch[path] = epoch;
  }

  private releaseSets(path: number): void {
    this.releaseBoth(this.paths.raw[path]!, this.paths.used[path]!, 1);
  }

  private decideOne(prefix: number): void {
    const { paths } = this;
    let only = NONE;
    let count = 0;
    for (let path = paths.headOf(prefix); path >= 0; path = paths.next(path)) {
      if (!this.counts(path)) continue;
      only = path;
      count += 1;
    }
    if (count < 2) {
      const used = only < 0 ? NONE : paths.used[only]!;
      const more = this.share(prefix, undefined);
      this.setBest(prefix, used, only < 0 ? OWN : paths.peer[only]!, more);
      return;
    }
    const { best, equal } = decide(this.candidates(prefix));
    const hops = equal.length > 1 && !best.own ? hopsOf(best, equal) : undefined;
    const more = this.share(prefix, hops && hops.length > 1 ? hops : undefined);
    this.setBest(prefix, best.set.id, best.peer, more);
  }

  private setBest(prefix: number, set: number, peer: number, otherwise: boolean): void {
    if (prefix >= this.bestSets.length)
      this.widenBest(Math.max(prefix + 1, roomAbove(this.bestSets.length)));
    const before = this.bestSet(prefix);
    const same = before === set && this.bestPeers[prefix] === peer;
    // A prefix that nobody speaks of any more is looked at once more too: it can be forgotten.
    if (!same || otherwise || this.everyPath || this.isIdle(prefix)) this.changed.put(prefix);
    if (same) return;
    if (set >= 0) this.sets.retain(set);
    this.bestSets[prefix] = set + 1;
    this.bestPeers[prefix] = peer;
    if (before >= 0) this.sets.release(before);
  }

  private widenBest(length: number): void {
    this.bestSets = grown(this.bestSets, length);
    this.bestPeers = grown(this.bestPeers, length);
  }

  /** Whether the next hops are others than before. */
  private share(prefix: number, hops: readonly Ip[] | undefined): boolean {
    if (hops === undefined && this.shared.size === 0) return false;
    const before = this.shared.get(prefix);
    if (before === undefined && hops === undefined) return false;
    if (hops) this.shared.set(prefix, hops);
    else this.shared.delete(prefix);
    return before?.join() !== hops?.join();
  }

  private candidate(path: number): Candidate {
    const { paths } = this;
    const index = paths.peer[path]!;
    const peer = this.around.peerAt(index);
    const set = this.sets.at(paths.used[path]!);
    return {
      set,
      preference: preferenceOf(set.localPref, this.normalPriority),
      peer: index,
      own: index === OWN,
      hasWay: index === OWN || this.around.hasWay(set.nextHop),
      external: peer?.external ?? false,
      routerId: peer?.routerId ?? 0,
      address: peer?.order ?? 0n,
      pathId: paths.pathId[path]!,
    };
  }
}
