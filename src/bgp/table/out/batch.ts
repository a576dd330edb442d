// What a slice of changes makes the members of a group hear, packed once for all of them. A route
// does not go back to the member that told it: the octets that concern it are left out for it alone.
import type { Packer } from './packer.ts';
import type { Told } from './told.ts';

/** A route as the members know it. */
export interface Entry {
  readonly told: Told;
  /** The peer that told it to us. */
  readonly source: number;
  /** RFC 7911; 0 without add-path. */
  readonly pathId: number;
}

interface List {
  readonly prefixes: number[];
  readonly pathIds: number[];
}

interface Whereabouts {
  readonly where: Map<number, Words>;
  readonly peer: number;
  readonly told: Told;
}

interface Words {
  readonly withdrawn: List;
  readonly announced: Map<Told, List>;
}

const WEIGHT_OF_WORDS = 16;
/** Peers of one delivery: to write to a socket takes some ten microseconds. */
const PEERS_AT_ONCE = 16;

/** Nobody is left out. */
export const EVERYBODY = -1;

const newWords = (): Words => ({ withdrawn: newList(), announced: new Map() });
const newList = (): List => ({ prefixes: [], pathIds: [] });

export class Batch {
  /** By whom it does not concern. */
  private readonly shared = new Map<number, Words>();
  /** By whom alone it concerns. */
  private readonly single = new Map<number, Words>();
  /** Neighbouring prefixes mostly belong together. */
  private last: (Whereabouts & { readonly list: List }) | undefined;
  private readonly addPath: boolean;
  /** How much there is to pack: one for each prefix, more for each set of attributes. */
  weight = 0;

  constructor(addPath: boolean) {
    this.addPath = addPath;
  }

  get isEmpty(): boolean {
    return this.weight === 0;
  }

  /** The members' route changes; `isMember` says who of the sources is one of them. */
  change(
    prefix: number,
    before: Entry | undefined,
    after: Entry | undefined,
    isMember: (peer: number) => boolean,
  ): void {
    const from = before && isMember(before.source) ? before.source : EVERYBODY;
    const to = after && isMember(after.source) ? after.source : EVERYBODY;
    if (!before) {
      if (after) this.announce(this.shared, to, prefix, after);
    } else if (!after) this.withdraw(this.shared, from, prefix, before.pathId);
    else {
      if (before.told !== after.told) this.announce(this.shared, to, prefix, after);
      else if (from !== to && from !== EVERYBODY) this.announce(this.single, from, prefix, after);
      if (from !== to && to !== EVERYBODY) this.withdraw(this.single, to, prefix, after.pathId);
    }
  }

  private announce(where: Map<number, Words>, peer: number, prefix: number, entry: Entry): void {
    const list = this.listFor(where, peer, entry.told);
    list.prefixes.push(prefix);
    this.weight += 1;
    if (this.addPath) list.pathIds.push(entry.pathId);
  }

  private listFor(where: Map<number, Words>, peer: number, told: Told): List {
    const { last } = this;
    if (last?.where === where && last.peer === peer && last.told === told) return last.list;
    const { announced } = wordsAt(where, peer);
    let list = announced.get(told);
    if (!list) {
      list = newList();
      announced.set(told, list);
      this.weight += WEIGHT_OF_WORDS;
    }
    this.last = { where, peer, told, list };
    return list;
  }

  private withdraw(where: Map<number, Words>, peer: number, prefix: number, pathId: number) {
    const { withdrawn } = wordsAt(where, peer);
    withdrawn.prefixes.push(prefix);
    this.weight += 1;
    if (this.addPath) withdrawn.pathIds.push(pathId);
  }

  /** Leads one who knows these paths to the present ones. */
  correct(prefix: number, known: readonly number[], present: readonly Entry[]): void {
    for (const entry of present) this.announce(this.shared, EVERYBODY, prefix, entry);
    for (const pathId of known)
      if (!present.some((entry) => entry.pathId === pathId))
        this.withdraw(this.shared, EVERYBODY, prefix, pathId);
  }

  /** Packs all at once, and answers what each member has to hear, one after the other. */
  pack(packer: Packer, members: readonly number[]): Iterable<Delivery> {
    const spans: Span[] = [];
    const write = (peer: number, words: Words): Span => {
      const start = packer.length;
      const ids = ({ pathIds }: List) => (this.addPath ? pathIds : undefined);
      packer.withdraw(words.withdrawn.prefixes, ids(words.withdrawn));
      for (const [told, list] of words.announced) packer.announce(told, list.prefixes, ids(list));
      return { peer, start, end: packer.length };
    };
    for (const [peer, words] of this.shared) spans.push(write(peer, words));
    const sharedEnd = packer.length;
    const own = [...this.single].map(([peer, words]) => write(peer, words));
    return deliveriesOf(packer.take(), sharedEnd, { spans, own }, members);
  }
}

interface Packed {
  readonly spans: readonly Span[];
  readonly own: readonly Span[];
}

function* deliveriesOf(
  octets: Uint8Array,
  sharedEnd: number,
  { spans, own }: Packed,
  members: readonly number[],
): Generator<Delivery> {
  const special = new Set([...spans, ...own].map(({ peer }) => peer));
  const common = members.filter((member) => !special.has(member));
  for (let at = 0; sharedEnd > 0 && at < common.length; at += PEERS_AT_ONCE)
    yield {
      peers: common.slice(at, at + PEERS_AT_ONCE),
      messages: [octets.subarray(0, sharedEnd)],
    };
  for (const member of members) {
    if (!special.has(member)) continue;
    const mine = [...without(spans, member), ...own.filter(({ peer }) => peer === member)].map(
      ({ start, end }) => octets.subarray(start, end),
    );
    if (mine.length > 0) yield { peers: [member], messages: mine };
  }
}

/** Whole messages, one behind the other in each buffer, for some peers. */
export interface Delivery {
  readonly peers: readonly number[];
  readonly messages: readonly Uint8Array[];
}

interface Span {
  readonly peer: number;
  readonly start: number;
  readonly end: number;
}

/** The stretches that are not left out for the member, neighbours joined. */
function without(spans: readonly Span[], member: number): readonly Span[] {
  const kept: Span[] = [];
  for (const span of spans) {
    if (span.peer === member || span.start === span.end) continue;
    const last = kept.at(-1);
    if (last?.end === span.start) kept[kept.length - 1] = { ...last, end: span.end };
    else kept.push(span);
  }
  return kept;
}

function wordsAt(where: Map<number, Words>, peer: number): Words {
  let words = where.get(peer);
  if (!words) {
    words = newWords();
    where.set(peer, words);
  }
  return words;
}
