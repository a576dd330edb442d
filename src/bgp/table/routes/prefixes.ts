// The prefixes of one family, each under a small number: columns instead of objects, found by open
// addressing. Text is made only at the edges. Numbers of forgotten prefixes are used again.
import { type Cidr, networkOf, prefixLengthOf } from '../../../net/cidr.ts';
import { bitsOf, bytesOfIp, type Family, ipFromBytes } from '../../../net/ip.ts';
import { octetsOfBits } from '../../codec/nlri.ts';
import { grown, roomAbove } from './columns.ts';
import { AHEAD, type Numbered, Slots } from './slots.ts';
import { hashOfWord, maskOf, type Range } from './words.ts';

const CAPACITY_MIN = 4096;
const AHEAD_WORDS = new Int32Array(AHEAD);
const AHEAD_BITS = new Uint8Array(AHEAD);

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
  /** What `internSome` has found. */
  readonly batch = { ids: new Int32Array(AHEAD), count: 0 };
  private readonly free: number[] = [];

  constructor(family: Family) {
    this.family = family;
    this.width = bitsOf(family) / 32;
    this.scratch = new Int32Array(this.width);
    this.words = new Int32Array(CAPACITY_MIN * this.width);
    this.lengths = new Uint8Array(CAPACITY_MIN);
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

  /** Whether `internSome` reads what a message of this kind holds. */
  readsMany(addPath: boolean): boolean {
    return this.width === 1 && !addPath;
  }

  /**
   * Numbers for the next prefixes of a message (IPv4, without path identifiers), in `batch`; answers
   * where the one behind them begins. All are looked for in memory before the first is needed: by
   * itself each would be waited for.
   */
  internSome(bytes: Uint8Array, from: number, end: number): number {
    if (this.end + AHEAD > this.lengths.length) this.growColumns();
    this.slots.makeRoom(AHEAD);
    const { words, lengths, forgotten, free, batch } = this;
    const { table, ahead, placed } = this.slots;
    const mask = table.length - 1;
    let [at, count] = [from, 0];
    for (; count < AHEAD && at < end; count++) {
      const bits = bytes[at]!;
      const upper = (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16);
      // What stands behind a short prefix is masked away.
      const word = (upper | (bytes[at + 3]! << 8) | bytes[at + 4]!) & maskOf(bits);
      AHEAD_WORDS[count] = word;
      AHEAD_BITS[count] = bits;
      ahead[count] = hashOfWord(word, bits) & mask;
      at += 1 + octetsOfBits(bits);
    }
    this.slots.fetch(count);
    batch.count = count;
    let { end: next } = this;
    let { held } = this.slots;
    for (let i = 0; i < count; i++) {
      const word = AHEAD_WORDS[i]!;
      const bits = AHEAD_BITS[i]!;
      let slot = ahead[i]!;
      let id = table[slot]! - 1;
      while (id >= 0 && (words[id] !== word || lengths[id] !== bits)) {
        slot = (slot + 1) & mask;
        id = table[slot]! - 1;
      }
      if (id < 0) {
        if (free.length > 0) {
          id = free.pop()!;
          forgotten[id] = 0;
        } else id = next++;
        words[id] = word;
        lengths[id] = bits;
        table[slot] = id + 1;
        held += 1;
        if (id < placed) this.slots.place(id);
      }
      batch.ids[i] = id;
    }
    this.end = next;
    this.slots.held = held;
    return at;
  }

  /** -1: not here. */
  find(bytes: Uint8Array, at: number, bits: number): number {
    this.read(bytes, at, bits);
    return this.slots.table[this.slotOf(bits)]! - 1;
  }

  /**
   * Looks where the next prefixes of a message would stand, and answers where the one behind them
   * begins. Their places come from memory side by side then; each by itself would be waited for.
   */
  lookAhead(bytes: Uint8Array, from: number, end: number, addPath: boolean): number {
    const { table, ahead, isNear } = this.slots;
    if (isNear) return end;
    const mask = table.length - 1;
    let [at, count] = [from, 0];
    for (; count < AHEAD && at < end; count++) {
      if (addPath) at += 4;
      const bits = bytes[at]!;
      this.read(bytes, at + 1, bits);
      ahead[count] = this.hash(this.scratch, 0, bits) & mask;
      at += 1 + octetsOfBits(bits);
    }
    this.slots.fetch(count);
    return at;
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

  private growColumns(): void {
    const length = roomAbove(this.lengths.length);
    this.words = grown(this.words, length * this.width);
    this.lengths = grown(this.lengths, length);
    this.forgotten = grown(this.forgotten, length);
  }
}
