// The prefixes of one family, each under a small number: columns instead of objects, found by open
// addressing. Text is made only at the edges. Numbers of forgotten prefixes are used again.
import { type Cidr, networkOf, prefixLengthOf } from '../../../net/cidr.ts';
import { bitsOf, bytesOfIp, type Family, ipFromBytes } from '../../../net/ip.ts';
import { octetsOfBits } from '../../codec/nlri.ts';
import { grown, roomAbove } from './columns.ts';
import { AHEAD, type Numbered, Slots } from './slots.ts';
import { Upcoming } from './upcoming.ts';
import { hashOfWord, isNobodys, maskOf, type Range } from './words.ts';

const CAPACITY_MIN = 4096;

export class Prefixes implements Numbered {
  readonly family: Family;
  /** Numbers given so far; some of them may be free. */
  end = 0;
  private readonly width: number;
  private readonly scratch: Int32Array;
  private words: Int32Array;
  private lengths: Uint8Array;
  /** 1: forgotten. What it stood for can be read until it stands for another. */
  private forgotten = new Uint8Array(CAPACITY_MIN);
  private readonly slots = new Slots(this);
  /** What `lookAhead` has read of a message. */
  readonly upcoming: Upcoming;
  private readonly free: number[] = [];

  constructor(family: Family) {
    this.family = family;
    this.width = bitsOf(family) / 32;
    this.scratch = new Int32Array(this.width);
    this.words = new Int32Array(CAPACITY_MIN * this.width);
    this.lengths = new Uint8Array(CAPACITY_MIN);
    this.upcoming = new Upcoming(family);
  }

  get size(): number {
    return this.slots.held;
  }

  /** The number of the prefix whose octets stand at `at`; bits beyond its length do not count. */
  intern(bytes: Uint8Array, at: number, bits: number): number {
    this.read(bytes, at, bits);
    const slot = this.slotOf(bits);
    const found = this.slots.table[slot]! - 1;
    return found >= 0 ? found : this.add(slot, bits);
  }

  /**
   * Reads the next prefixes of a message into `upcoming`, and fetches the places at which they would
   * stand; answers where the one behind them begins.
   */
  lookAhead(bytes: Uint8Array, from: number, end: number, addPath: boolean): number {
    const { upcoming, width } = this;
    const next = upcoming.read(bytes, from, end, addPath);
    this.slots.makeRoom(upcoming.count);
    const { table, ahead } = this.slots;
    const { words, bits, count } = upcoming;
    const mask = table.length - 1;
    if (width === 1)
      for (let i = 0; i < count; i++) ahead[i] = hashOfWord(words[i]!, bits[i]!) & mask;
    else for (let i = 0; i < count; i++) ahead[i] = this.hash(words, i * width, bits[i]!) & mask;
    this.slots.fetch(count);
    return next;
  }

  /** Numbers for those that `lookAhead` has read, given where there were none. */
  internUpcoming(): void {
    if (this.end + AHEAD > this.lengths.length) this.growColumns();
    const { words, lengths, forgotten, free, width, upcoming } = this;
    const { words: wanted, bits: wantedBits, ids, count } = upcoming;
    const { table, ahead, placed } = this.slots;
    const mask = table.length - 1;
    let { end: next } = this;
    let { held } = this.slots;
    for (let i = 0; i < count; i++) {
      const word = wanted[i * width]!;
      const bits = wantedBits[i]!;
      let slot = ahead[i]!;
      let id = table[slot]! - 1;
      while (
        id >= 0 &&
        (words[id * width] !== word || lengths[id] !== bits || !this.isTail(id, i))
      ) {
        slot = (slot + 1) & mask;
        id = table[slot]! - 1;
      }
      if (id < 0) {
        if (free.length > 0) {
          id = free.pop()!;
          forgotten[id] = 0;
        } else id = next++;
        for (let k = 0; k < width; k++) words[id * width + k] = wanted[i * width + k]!;
        lengths[id] = bits;
        table[slot] = id + 1;
        held += 1;
        if (id < placed) this.slots.place(id);
      }
      ids[i] = id;
    }
    this.end = next;
    this.slots.held = held;
  }

  /** Looks for those that `lookAhead` has read. The same search, written out twice: it is hot. */
  findUpcoming(): void {
    const { words, lengths, width, upcoming } = this;
    const { words: wanted, bits: wantedBits, ids, count } = upcoming;
    const { table, ahead } = this.slots;
    const mask = table.length - 1;
    for (let i = 0; i < count; i++) {
      const word = wanted[i * width]!;
      const bits = wantedBits[i]!;
      let slot = ahead[i]!;
      let id = table[slot]! - 1;
      while (
        id >= 0 &&
        (words[id * width] !== word || lengths[id] !== bits || !this.isTail(id, i))
      ) {
        slot = (slot + 1) & mask;
        id = table[slot]! - 1;
      }
      ids[i] = id;
    }
  }

  // IPv6: whether the rest is the same too.
  private isTail(id: number, i: number): boolean {
    const { words, width, upcoming } = this;
    for (let k = 1; k < width; k++)
      if (words[id * width + k] !== upcoming.words[i * width + k]) return false;
    return true;
  }

  /** -1: not here. */
  find(bytes: Uint8Array, at: number, bits: number): number {
    this.read(bytes, at, bits);
    return this.slots.table[this.slotOf(bits)]! - 1;
  }

  /** For so many, while there are few to copy. */
  widen(length: number): void {
    if (length > this.lengths.length) this.growColumns(length);
    // Slots are touched all over: fewer of them, 4 MiB where columns have room for what one peer may tell.
    this.slots.widen(length / 4);
  }

  /** Makes ready for more prefixes, a portion at a time; answers whether there was anything to do. */
  prepareSome(): boolean {
    return this.slots.widenSome();
  }

  internCidr(prefix: Cidr): number {
    return this.intern(bytesOfIp(networkOf(prefix)), 0, prefixLengthOf(prefix));
  }

  findCidr(prefix: Cidr): number {
    return this.find(bytesOfIp(networkOf(prefix)), 0, prefixLengthOf(prefix));
  }

  bits(id: number): number {
    return this.lengths[id]!;
  }

  cidr(id: number): Cidr {
    const bits = this.lengths[id]!;
    const word = this.words[id]!;
    if (this.family === 4)
      return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}/${bits}` as Cidr;
    const bytes = new Uint8Array(this.width * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < this.width; i++) view.setInt32(i * 4, this.words[id * this.width + i]!);
    return `${ipFromBytes(bytes)}/${bits}` as Cidr;
  }

  /** Octets on the wire, the length octet among them. */
  octets(id: number): number {
    return 1 + octetsOfBits(this.lengths[id]!);
  }

  /** Writes the prefix as it travels; answers where the next one stands. */
  write(id: number, out: Uint8Array, at: number): number {
    const bits = this.lengths[id]!;
    out[at] = bits;
    const octets = octetsOfBits(bits);
    const base = id * this.width;
    for (let i = 0; i < octets; i++)
      out[at + 1 + i] = this.words[base + (i >> 2)]! >>> (24 - (i & 3) * 8);
    return at + 1 + octets;
  }

  isNobodys(id: number): boolean {
    return isNobodys(this.words, id * this.width, this.lengths[id]!, this.width);
  }

  isWithin(id: number, { words, bits }: Range): boolean {
    if (this.lengths[id]! < bits) return false;
    for (let i = 0; i < words.length; i++)
      if ((this.words[id * this.width + i]! & maskOf(bits - i * 32)) !== words[i]!) return false;
    return true;
  }

  /** Its number will stand for another prefix one day. */
  forget(id: number): void {
    this.slots.remove(id);
    this.forgotten[id] = 1;
    this.free.push(id);
  }

  isFree(id: number): boolean {
    return this.forgotten[id] === 1;
  }

  hashOf(id: number): number {
    return this.hash(this.words, id * this.width, this.lengths[id]!);
  }

  private read(bytes: Uint8Array, at: number, bits: number): void {
    if (this.width === 1) {
      // What stands behind a short prefix is masked away.
      const upper = (bytes[at]! << 24) | (bytes[at + 1]! << 16);
      const word = upper | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      this.scratch[0] = word & maskOf(bits);
      return;
    }
    const octets = octetsOfBits(bits);
    for (let i = 0; i < this.width; i++) {
      let word = 0;
      for (let k = i * 4; k < i * 4 + 4; k++)
        word = (word << 8) | (k < octets ? bytes[at + k]! : 0);
      this.scratch[i] = word & maskOf(bits - i * 32);
    }
  }

  private add(slot: number, bits: number): number {
    const again = this.free.pop();
    const id = again ?? this.end++;
    if (id >= this.lengths.length) this.growColumns();
    if (again !== undefined) this.forgotten[id] = 0;
    for (let i = 0; i < this.width; i++) this.words[id * this.width + i] = this.scratch[i]!;
    this.lengths[id] = bits;
    this.slots.add(slot, id);
    return id;
  }

  /** The slot of the prefix in `scratch`, or the empty one where it would stand. */
  private slotOf(bits: number): number {
    if (this.width === 1) return this.slotOfWord(this.scratch[0]!, bits);
    const { table } = this.slots;
    const mask = table.length - 1;
    for (let slot = this.hash(this.scratch, 0, bits) & mask; ; slot = (slot + 1) & mask) {
      const id = table[slot]! - 1;
      if (id < 0 || this.isAt(id, bits)) return slot;
    }
  }

  private slotOfWord(word: number, bits: number): number {
    const { words, lengths } = this;
    const { table } = this.slots;
    const mask = table.length - 1;
    for (let slot = hashOfWord(word, bits) & mask; ; slot = (slot + 1) & mask) {
      const id = table[slot]! - 1;
      if (id < 0 || (words[id] === word && lengths[id] === bits)) return slot;
    }
  }

  private isAt(id: number, bits: number): boolean {
    if (this.lengths[id] !== bits) return false;
    for (let i = 0; i < this.width; i++)
      if (this.words[id * this.width + i] !== this.scratch[i]) return false;
    return true;
  }

  private hash(words: Int32Array, base: number, bits: number): number {
    if (this.width === 1) return hashOfWord(words[base]!, bits);
    let hash = bits;
    for (let i = 0; i < this.width; i++) {
      hash = Math.imul(hash ^ words[base + i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (Math.imul(hash, 0x85ebca6b) >>> 7) | 0;
  }

  private growColumns(length = roomAbove(this.lengths.length)): void {
    this.words = grown(this.words, length * this.width);
    this.lengths = grown(this.lengths, length);
    this.forgotten = grown(this.forgotten, length);
  }
}
