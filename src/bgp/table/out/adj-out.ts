// What a group of peers has been told of one family (Adj-RIB-Out). Peers whom the same words suit
// share it, so that an UPDATE is made once however many hear it. A peer that joins later, or reads
// too slowly to be told everything at once, is told again prefix by prefix as it goes.

import type { Peer } from '../peer.ts';
import type { Rib } from '../routes/rib.ts';
import { Batch, type Delivery, type Entry } from './batch.ts';
import { type Mark, markMessage } from './marks.ts';
import { isDue, type Member } from './member.ts';
import { Missed } from './missed.ts';
import { Packer } from './packer.ts';
import { Pages } from './pages.ts';
import { type ExportFacts, Wording } from './wording.ts';

/** What the group asks the table. */
export interface Surroundings extends ExportFacts {
  /** False: so much waits for this peer already that more must wait. */
  readonly hasRoom: (peer: number) => boolean;
  /** `sent` is told of each delivery when it has left. */
  readonly deliver: (
    deliveries: Iterable<Delivery>,
    sent: (peers: readonly number[]) => void,
  ) => void;
}

/** Prefixes that are told again at once. */
const PORTION = 512;
/** Changes that are packed at once: more of them fill messages better, but take longer. */
const BATCH_WEIGHT_MAX = 8192;
const ONLY_PATH: readonly number[] = [0];
const NO_PATHS: readonly number[] = [];

export class AdjOut {
  readonly rib: Rib;
  private readonly around: Surroundings;
  private readonly members = new Map<number, Member>();
  private readonly told = new Pages<Entry | readonly Entry[]>();
  private readonly wording: Wording;
  /** Prefixes from here to `buildTo` are yet to be told at all. */
  private builtTo = 0;
  private buildTo: number;
  private readonly addPath: boolean;
  private readonly packer: Packer;
  /** Changes that are about to be told. */
  private batch: Batch;
  /** Prefixes that are told. */
  count = 0;

  constructor(id: number, rib: Rib, like: Peer, around: Surroundings) {
    this.rib = rib;
    this.around = around;
    this.buildTo = rib.prefixes.end;
    this.wording = new Wording(id, rib, like, around);
    this.addPath = like.agreed.addPathSend.includes(rib.family);
    const { extendedMessage } = like.agreed;
    this.batch = new Batch(this.addPath);
    this.packer = new Packer(rib.prefixes, { extendedMessage, addPath: this.addPath });
  }

  get size(): number {
    return this.members.size;
  }

  get tellsEveryPath(): boolean {
    return this.addPath;
  }

  /** `before`: the group that it leaves, whose words it knows. */
  join(peer: Peer, before?: AdjOut): void {
    this.flush();
    before?.flush();
    this.wording.like = peer;
    // Those who come before anything is told are told by the building itself.
    const retellTo = this.count === 0 ? 0 : this.rib.prefixes.end;
    const known = before?.members.get(peer.index);
    const missed = known?.missed ?? new Missed();
    if (before) missed.addAll(before.told.snapshot(), peer.index);
    const owed = known ? known.owed : 'endOfRib';
    this.members.set(peer.index, { retellFrom: 0, retellTo, missed, slow: false, owed });
    before?.leave(peer.index);
  }

  leave(peer: number): void {
    this.flush();
    this.members.delete(peer);
    const [other] = this.members.keys();
    const like = other === undefined ? undefined : this.around.peerAt(other);
    if (like) this.wording.like = like;
  }

  /** Everything again (RFC 2918); `marked`: between marks (RFC 7313 section 4.1). */
  retell(peer: number, marked: boolean): void {
    const member = this.members.get(peer);
    if (!member) return;
    this.flush();
    Object.assign(member, { retellFrom: 0, retellTo: this.rib.prefixes.end });
    // Not before the End-of-RIB, until which a peer must ignore it.
    if (!marked || member.owed === 'endOfRib') return;
    member.owed = 'endOfRefresh';
    this.mark('beginOfRefresh', [peer]);
  }

  /** Everything may be another: a new policy, new ranges. */
  rebuild(): void {
    this.wording.forget();
    this.builtTo = 0;
    this.buildTo = this.rib.prefixes.end;
  }

  /** Prefixes told to a member. */
  toldTo(peer: number): number {
    return this.members.has(peer) ? this.count : 0;
  }

  entriesOf(prefix: number): readonly Entry[] {
    const present = this.told.get(prefix);
    return present === undefined ? [] : Array.isArray(present) ? present : [present as Entry];
  }

  /** Prepares what changed of these prefixes; `flush` tells it. */
  tellChanges(prefixes: ArrayLike<number>): void {
    const { batch } = this;
    const slow = [...this.members.values()].filter((member) => member.slow);
    for (let i = 0; i < prefixes.length; i++) {
      const prefix = prefixes[i]!;
      const known = this.addPath ? this.updateAll(prefix, batch) : this.updateOne(prefix, batch);
      if (known) for (const { missed } of slow) missed.add(prefix, known);
    }
    if (batch.weight >= BATCH_WEIGHT_MAX) this.flush();
  }

  /** Tells what was prepared. Before anything else is told, and before the slice ends. */
  flush(): void {
    if (this.batch.isEmpty) return;
    const { batch } = this;
    this.batch = new Batch(this.addPath);
    this.send(batch, [...this.members.keys()]);
  }

  /** Builds and tells again a portion; false: there is nothing to do now. */
  workSome(): boolean {
    if (this.builtTo < this.buildTo) {
      const end = Math.min(this.builtTo + PORTION, this.buildTo);
      const portion = Int32Array.from({ length: end - this.builtTo }, (_, i) => this.builtTo + i);
      this.builtTo = end;
      this.tellChanges(portion);
      return true;
    }
    this.flush();
    return this.catchUp() || this.retellSome();
  }

  /** Somebody waits for room. */
  get isHeldUp(): boolean {
    return this.some(({ slow }) => slow);
  }

  /** Some member may still know a prefix that nobody is told any more. */
  get remembers(): boolean {
    return this.some(({ missed }) => !missed.isEmpty);
  }

  private some(holds: (member: Member) => boolean): boolean {
    for (const member of this.members.values()) if (holds(member)) return true;
    return false;
  }

  /** The mark at the end, for those who have been told all. */
  finish(): void {
    if (this.builtTo < this.buildTo) return;
    for (const mark of ['endOfRib', 'endOfRefresh'] as const) {
      const peers: number[] = [];
      for (const [peer, member] of this.members) if (isDue(member, mark)) peers.push(peer);
      for (const peer of peers) this.members.get(peer)!.owed = undefined;
      this.mark(mark, peers);
    }
  }

  private mark(mark: Mark, peers: readonly number[]): void {
    if (peers.length === 0) return;
    const messages = [markMessage(mark, this.rib.family)];
    this.around.deliver([{ peers, messages }], () => undefined);
  }

  private retellSome(): boolean {
    const waiting = [...this.members].filter(([, m]) => !m.slow && m.retellFrom < m.retellTo);
    const first = waiting[0]?.[1];
    if (!first) return false;
    const { retellFrom: from, retellTo } = first;
    const to = Math.min(from + PORTION, retellTo);
    // Those that are as far are told together.
    const together = waiting.filter(([, m]) => m.retellFrom === from && m.retellTo === retellTo);
    const batch = new Batch(this.addPath);
    for (let prefix = from; prefix < to; prefix++)
      for (const entry of this.entriesOf(prefix))
        batch.change(prefix, undefined, entry, this.isMember);
    for (const [, member] of together) member.retellFrom = to;
    this.send(
      batch,
      together.map(([peer]) => peer),
    );
    return true;
  }

  /** Members that have room again are told what they missed. */
  private catchUp(): boolean {
    for (const [peer, member] of this.members) {
      if (member.slow && this.around.hasRoom(peer)) member.slow = false;
      if (member.slow || member.missed.isEmpty) continue;
      const batch = new Batch(this.addPath);
      for (const [prefix, known] of member.missed.take(PORTION)) {
        const entries = this.entriesOf(prefix).filter(({ source }) => source !== peer);
        batch.correct(prefix, known, entries);
      }
      this.send(batch, [peer]);
      return true;
    }
    return false;
  }

  private send(batch: Batch, to: readonly number[]): void {
    const ready = to.filter((peer) => !this.members.get(peer)?.slow);
    this.around.deliver(batch.pack(this.packer, ready), this.sent);
  }

  private readonly sent = (peers: readonly number[]): void => {
    for (const peer of peers) {
      const member = this.members.get(peer);
      if (member && !this.around.hasRoom(peer)) member.slow = true;
    }
  };

  /** Path identifiers told before, when the prefix is told otherwise now. */
  private updateOne(prefix: number, batch: Batch): readonly number[] | undefined {
    const { rib } = this;
    const before = this.told.get(prefix) as Entry | undefined;
    const set = rib.bestSet(prefix);
    const after = set < 0 ? undefined : this.wording.entryOf(prefix, set, rib.bestPeer(prefix));
    if (before === after) return undefined;
    if (after && before?.told === after.told && before.source === after.source) return undefined;
    this.keep(prefix, after, before !== undefined);
    if (after) this.wording.use(after.told, 1);
    if (before) this.wording.use(before.told, -1);
    batch.change(prefix, before, after, this.isMember);
    return before ? ONLY_PATH : NO_PATHS;
  }

  private updateAll(prefix: number, batch: Batch): readonly number[] | undefined {
    const before = this.entriesOf(prefix);
    const { paths } = this.rib;
    const after: Entry[] = [];
    for (let path = paths.headOf(prefix); path >= 0; path = paths.next(path)) {
      if (!this.rib.counts(path)) continue;
      const entry = this.wording.entryOf(prefix, paths.used[path]!, paths.peer[path]!);
      // Unique while the path lives, which is all that an identifier has to be.
      if (entry) after.push({ ...entry, pathId: path + 1 });
    }
    const old = new Map(before.map((entry) => [entry.pathId, entry]));
    let isNew = false;
    for (const entry of after) {
      const was = old.get(entry.pathId);
      old.delete(entry.pathId);
      if (was?.told === entry.told && was.source === entry.source) continue;
      batch.change(prefix, was, entry, this.isMember);
      isNew = true;
    }
    for (const gone of old.values()) batch.change(prefix, gone, undefined, this.isMember);
    isNew ||= old.size > 0;
    if (!isNew) return undefined;
    this.keep(prefix, after.length > 0 ? after : undefined, before.length > 0);
    for (const { told } of after) this.wording.use(told, 1);
    for (const { told } of before) this.wording.use(told, -1);
    return before.map(({ pathId }) => pathId);
  }

  private readonly isMember = (peer: number): boolean => this.members.has(peer);

  private keep(
    prefix: number,
    value: Entry | readonly Entry[] | undefined,
    wasTold: boolean,
  ): void {
    this.told.set(prefix, value);
    this.count += (value === undefined ? 0 : 1) - (wasTold ? 1 : 0);
  }
}
