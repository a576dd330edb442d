// The prefixes of one family, each under a small number: columns instead of objects, found by open
// addressing. Text is made only at the edges. Numbers of forgotten prefixes are used again.
import { type Cidr, networkOf, prefixLengthOf } from '../../../net/cidr.ts';
import { bitsOf, bytesOfIp, type Family, ipFromBytes } from '../../../net/ip.ts';
import { octetsOfBits } from '../../codec/nlri.ts';
import { grown, roomAbove } from './columns.ts';
import { hashOfWord, maskOf, type Range } from './words.ts';

const CAPACITY_MIN = 4096;
/** As many as find room in the processor's nearest memory. */
const AHEAD = 512;
const AHEAD_WORDS = new Int32Array(AHEAD);
const AHEAD_BITS = new Uint8Array(AHEAD);
const AHEAD_SLOTS = new Int32Array(AHEAD);
/** So few slots are near the processor; to fill more than these anew takes milliseconds. */
const NEAR = 2 ** 16;

export class Prefixes {
  readonly family: Family;
  /** Numbers given so far; some of them may be free. */
  end = 0;
  private readonly width: number;
  private readonly scratch: Int32Array;
  private words: Int32Array;
  private lengths: Uint8Array;
  /** Number + 1 of the prefix, 0 where there is none. */
  private slots: Int32Array;
  /** What `internSome` has found. */
  readonly batch = { ids: new Int32Array(AHEAD), count: 0 };
  private readonly free: number[] = [];
  private held = 0;
  /** Of no meaning; without it nothing would have been looked at. */
  private seen = 0;

  constructor(family: Family) {
    this.family = family;
    this.width = bitsOf(family) / 32;
    this.scratch = new Int32Array(this.width);
    this.words = new Int32Array(CAPACITY_MIN * this.width);
    this.lengths = new Uint8Array(CAPACITY_MIN);
    this.slots = new Int32Array(CAPACITY_MIN * 2);
  }

  get size(): number {
    return this.held;
  }

  /** The number of the prefix whose octets stand at `at`; bits beyond its length do not count. */
  intern(bytes: Uint8Array, at: number, bits: number): number {
    this.read(bytes, at, bits);
    const slot = this.slotOf(bits);
    const found = this.slots[slot]! - 1;
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
    this.makeRoom(AHEAD);
    const { slots, words, lengths, free, batch } = this;
    const mask = slots.length - 1;
    let [at, count] = [from, 0];
    for (; count < AHEAD && at < end; count++) {
      const bits = bytes[at]!;
      const upper = (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16);
      // What stands behind a short prefix is masked away.
      const word = (upper | (bytes[at + 3]! << 8) | bytes[at + 4]!) & maskOf(bits);
      AHEAD_WORDS[count] = word;
      AHEAD_BITS[count] = bits;
      AHEAD_SLOTS[count] = hashOfWord(word, bits) & mask;
      at += 1 + octetsOfBits(bits);
    }
    this.fetchSlots(count);
    batch.count = count;
    let { end: next, held } = this;
    for (let i = 0; i < count; i++) {
      const word = AHEAD_WORDS[i]!;
      const bits = AHEAD_BITS[i]!;
      let slot = AHEAD_SLOTS[i]!;
      let id = slots[slot]! - 1;
      while (id >= 0 && (words[id] !== word || lengths[id] !== bits)) {
        slot = (slot + 1) & mask;
        id = slots[slot]! - 1;
      }
      if (id < 0) {
        id = free.length > 0 ? free.pop()! : next++;
        words[id] = word;
        lengths[id] = bits;
        slots[slot] = id + 1;
        held += 1;
      }
      batch.ids[i] = id;
    }
    this.end = next;
    this.held = held;
    return at;
  }

  // Nothing else in this loop: the processor waits for as many places at once as it sees.
  private fetchSlots(count: number): void {
    const { slots } = this;
    let seen = 0;
    for (let i = 0; i < count; i++) seen ^= slots[AHEAD_SLOTS[i]!]!;
    this.seen = seen;
  }

  /** For so many more. */
  private makeRoom(count: number): void {
    if (this.end + count > this.lengths.length) this.growColumns();
    if ((this.held + count) * 2 > this.slots.length) this.growSlots();
  }

  /** -1: not here. */
  find(bytes: Uint8Array, at: number, bits: number): number {
    this.read(bytes, at, bits);
    return this.slots[this.slotOf(bits)]! - 1;
  }

  /**
   * Looks where the next prefixes of a message would stand, and answers where the one behind them
   * begins. Their places come from memory side by side then; each by itself would be waited for.
   */
  lookAhead(bytes: Uint8Array, from: number, end: number, addPath: boolean): number {
    if (this.slots.length <= NEAR) return end;
    const mask = this.slots.length - 1;
    let [at, count] = [from, 0];
    for (; count < AHEAD && at < end; count++) {
      if (addPath) at += 4;
      const bits = bytes[at]!;
      this.read(bytes, at + 1, bits);
      AHEAD_SLOTS[count] = this.hashOf(this.scratch, 0, bits) & mask;
      at += 1 + octetsOfBits(bits);
    }
    this.fetchSlots(count);
    return at;
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
    for (let i = 0; i < this.width; i++) this.scratch[i] = this.words[id * this.width + i]!;
    this.vacate(this.slotOf(this.lengths[id]!));
    this.free.push(id);
    this.held -= 1;
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
    const id = this.free.pop() ?? this.end++;
    if (id >= this.lengths.length) this.growColumns();
    for (let i = 0; i < this.width; i++) this.words[id * this.width + i] = this.scratch[i]!;
    this.lengths[id] = bits;
    this.slots[slot] = id + 1;
    this.held += 1;
    if (this.held * 2 > this.slots.length) this.growSlots();
    return id;
  }

  /** The slot of the prefix in `scratch`, or the empty one where it would stand. */
  private slotOf(bits: number): number {
    const { slots } = this;
    const mask = slots.length - 1;
    if (this.width === 1) return this.slotOfWord(this.scratch[0]!, bits);
    for (let slot = this.hashOf(this.scratch, 0, bits) & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1;
      if (id < 0 || this.isAt(id, bits)) return slot;
    }
  }

  private slotOfWord(word: number, bits: number): number {
    const { slots, words, lengths } = this;
    const mask = slots.length - 1;
    for (let slot = hashOfWord(word, bits) & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1;
      if (id < 0 || (words[id] === word && lengths[id] === bits)) return slot;
    }
  }

  private isAt(id: number, bits: number): boolean {
    if (this.lengths[id] !== bits) return false;
    for (let i = 0; i < this.width; i++)
      if (this.words[id * this.width + i] !== this.scratch[i]) return false;
    return true;
  }

  private hashOf(words: Int32Array, base: number, bits: number): number {
    if (this.width === 1) return hashOfWord(words[base]!, bits);
    let hash = bits;
    for (let i = 0; i < this.width; i++) {
      hash = Math.imul(hash ^ words[base + i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return (Math.imul(hash, 0x85ebca6b) >>> 7) | 0;
  }

  // Those behind a gap move up, so that a search may end at the first empty slot.
  private vacate(slot: number): void {
    const mask = this.slots.length - 1;
    let gap = slot;
    for (let at = (slot + 1) & mask; this.slots[at]! > 0; at = (at + 1) & mask) {
      const id = this.slots[at]! - 1;
      const home = this.hashOf(this.words, id * this.width, this.lengths[id]!) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      this.slots[gap] = id + 1;
      gap = at;
    }
    this.slots[gap] = 0;
  }

  private growColumns(): void {
    const length = roomAbove(this.lengths.length);
    this.words = grown(this.words, length * this.width);
    this.lengths = grown(this.lengths, length);
  }

  private growSlots(): void {
    const old = this.slots;
    const slots = new Int32Array(old.length < NEAR ? NEAR : roomAbove(old.length / 2) * 2);
    const mask = slots.length - 1;
    for (let i = 0; i < old.length; i++) {
      const value = old[i]!;
      if (value === 0) continue;
      const id = value - 1;
      let slot = this.hashOf(this.words, id * this.width, this.lengths[id]!) & mask;
      while (slots[slot]! > 0) slot = (slot + 1) & mask;
      slots[slot] = value;
    }
    this.slots = slots;
  }
}
