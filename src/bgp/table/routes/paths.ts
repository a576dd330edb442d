// The paths of one family (Adj-RIB-In): columns instead of objects. Each path stands in two lists,
// that of its prefix and that of its peer, so that neither is found by looking through all. What is 0 of
// most paths is written only where it is not: of a new path all is 0, and memory is given when it is touched.
import { grown, roomAbove } from './columns.ts';

const CAPACITY_MIN = 4096;
/** The end of a list. */
export const NONE = -1;

/** What the columns say of a path beside its prefix and its peer. */
export interface PathFacts {
  readonly raw: number;
  readonly used: number;
  readonly epoch: number;
}

export class Paths {
  /** Numbers given so far; some of them may be free. */
  end = 0;
  peer = new Int32Array(CAPACITY_MIN);
  prefix = new Int32Array(CAPACITY_MIN);
  /** RFC 7911; 0 without it. */
  pathId = new Uint32Array(CAPACITY_MIN);
  /** The attribute set as received. */
  raw = new Int32Array(CAPACITY_MIN);
  /** The set that import made of it; `NONE`: not accepted. */
  used = new Int32Array(CAPACITY_MIN);
  /** The peer's count of fresh starts when it last spoke of the path. */
  epoch = new Uint32Array(CAPACITY_MIN);
  /** The next path to the same prefix, plus 1: 0 behind the last. */
  private followers = new Int32Array(CAPACITY_MIN);
  private nextOfPeer = new Int32Array(CAPACITY_MIN);
  private previousOfPeer = new Int32Array(CAPACITY_MIN);
  /** The first path to a prefix, plus 1: 0 where there is none. */
  private heads = new Int32Array(CAPACITY_MIN);
  /** By peer: its first path, and how many it has. */
  private readonly firsts: number[] = [];
  private readonly counts: number[] = [];
  private readonly free: number[] = [];

  headOf(prefix: number): number {
    return prefix < this.heads.length ? this.heads[prefix]! - 1 : NONE;
  }

  /** The next path to the same prefix. */
  next(path: number): number {
    return this.followers[path]! - 1;
  }

  /** The first path of a peer; `after` names the next. */
  firstOf(peer: number): number {
    return this.firsts[peer] ?? NONE;
  }

  after(path: number): number {
    return this.nextOfPeer[path]!;
  }

  /** How many paths a peer has here. */
  countOf(peer: number): number {
    return this.counts[peer] ?? 0;
  }

  find(prefix: number, peer: number, pathId: number): number {
    let path = this.headOf(prefix);
    while (path >= 0 && (this.peer[path] !== peer || this.pathId[path] !== pathId))
      path = this.next(path);
    return path;
  }

  /** A new path; its sets and epoch are for the caller to write. */
  add(prefix: number, peer: number, pathId: number): number {
    this.makeRoom(prefix, 1);
    const path = this.free.pop() ?? this.end++;
    this.peer[path] = peer;
    this.prefix[path] = prefix;
    if (pathId !== 0) this.pathId[path] = pathId;
    if (this.heads[prefix] !== 0) this.followers[path] = this.heads[prefix]!;
    this.heads[prefix] = path + 1;
    const first = this.firstOf(peer);
    this.nextOfPeer[path] = first;
    this.previousOfPeer[path] = NONE;
    if (first >= 0) this.previousOfPeer[first] = path;
    this.firsts[peer] = path;
    this.counts[peer] = this.countOf(peer) + 1;
    return path;
  }

  /**
   * New paths of a peer, without identifiers, to those of the prefixes that have none at all. They
   * come to stand first among `prefixes`; answers how many they are.
   */
  addMany(prefixes: Int32Array, count: number, peer: number, what: PathFacts): number {
    let most = 0;
    for (let i = 0; i < count; i++) most = Math.max(most, prefixes[i]!);
    this.makeRoom(most, count);
    const { heads, free, nextOfPeer, previousOfPeer } = this;
    const { raw, used, epoch } = what;
    let first = this.firstOf(peer);
    let [end, left, at] = [this.end, count, 0];
    while (at < left) {
      const prefix = prefixes[at]!;
      if (heads[prefix] !== 0) {
        left -= 1;
        prefixes[at] = prefixes[left]!;
        prefixes[left] = prefix;
        continue;
      }
      at += 1;
      const path = free.length > 0 ? free.pop()! : end++;
      heads[prefix] = path + 1;
      this.peer[path] = peer;
      this.prefix[path] = prefix;
      this.raw[path] = raw;
      this.used[path] = used;
      if (epoch !== 0) this.epoch[path] = epoch;
      nextOfPeer[path] = first;
      previousOfPeer[path] = NONE;
      if (first >= 0) previousOfPeer[first] = path;
      first = path;
    }
    this.end = end;
    this.firsts[peer] = first;
    this.counts[peer] = this.countOf(peer) + left;
    return left;
  }

  /** For a path to this prefix, and so many paths. */
  private makeRoom(prefix: number, count: number): void {
    while (this.end + count > this.peer.length) this.growPaths();
    if (prefix < this.heads.length) return;
    this.heads = grown(this.heads, Math.max(prefix + 1, roomAbove(this.heads.length)));
  }

  /** For so many of each, while there are few to copy. */
  widen(length: number): void {
    if (length > this.peer.length) this.growPaths(length);
    if (length > this.heads.length) this.heads = grown(this.heads, length);
  }

  remove(path: number): void {
    const prefix = this.prefix[path]!;
    const peer = this.peer[path]!;
    if (this.headOf(prefix) === path) this.heads[prefix] = this.followers[path]!;
    else {
      let before = this.headOf(prefix);
      while (this.next(before) !== path) before = this.next(before);
      this.followers[before] = this.followers[path]!;
    }
    const previous = this.previousOfPeer[path]!;
    const next = this.nextOfPeer[path]!;
    if (previous >= 0) this.nextOfPeer[previous] = next;
    else this.firsts[peer] = next;
    if (next >= 0) this.previousOfPeer[next] = previous;
    this.counts[peer] = this.countOf(peer) - 1;
    this.peer[path] = NONE;
    this.pathId[path] = 0;
    this.epoch[path] = 0;
    this.followers[path] = 0;
    this.free.push(path);
  }

  private growPaths(length = roomAbove(this.peer.length)): void {
    this.peer = grown(this.peer, length);
    this.prefix = grown(this.prefix, length);
    this.pathId = grown(this.pathId, length);
    this.raw = grown(this.raw, length);
    this.used = grown(this.used, length);
    this.epoch = grown(this.epoch, length);
    this.followers = grown(this.followers, length);
    this.nextOfPeer = grown(this.nextOfPeer, length);
    this.previousOfPeer = grown(this.previousOfPeer, length);
  }
}
