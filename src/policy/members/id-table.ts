// A set of positive numbers in one column: open addressing with linear probing (Knuth, The Art of Computer
// Programming, volume 3, section 6.4, algorithms L and R).

const CAPACITY_MIN = 8;
/** Knuth's multiplicative hashing: 2^32 divided by the golden ratio. */
const SPREAD = 0x9e3779b1;
const EMPTY = 0;

export class IdTable implements Iterable<number> {
  private slots = new Uint32Array(CAPACITY_MIN);
  private shift = 32 - Math.log2(CAPACITY_MIN);
  size = 0;

  has(id: number): boolean {
    return this.slots[this.slotOf(id)] === id;
  }

  /** False: it was there. */
  add(id: number): boolean {
    const at = this.slotOf(id);
    if (this.slots[at] === id) return false;
    this.slots[at] = id;
    this.size++;
    if (this.size * 4 > this.slots.length * 3) this.resize(this.slots.length * 2);
    return true;
  }

  /** False: it was not there. */
  delete(id: number): boolean {
    const { slots } = this;
    const mask = slots.length - 1;
    let hole = this.slotOf(id);
    if (slots[hole] !== id) return false;
    this.size--;
    for (let at = (hole + 1) & mask; slots[at] !== EMPTY; at = (at + 1) & mask) {
      // It may move back only as far as its own place.
      if (((at - this.home(slots[at]!)) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at]!;
      hole = at;
    }
    slots[hole] = EMPTY;
    if (slots.length > CAPACITY_MIN && this.size * 8 < slots.length) this.resize(slots.length / 2);
    return true;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const id of this.slots) if (id !== EMPTY) yield id;
  }

  private home(id: number): number {
    return Math.imul(id, SPREAD) >>> this.shift;
  }

  private slotOf(id: number): number {
    const { slots } = this;
    const mask = slots.length - 1;
    let at = this.home(id);
    while (slots[at] !== id && slots[at] !== EMPTY) at = (at + 1) & mask;
    return at;
  }

  private resize(capacity: number): void {
    const before = this.slots;
    this.slots = new Uint32Array(capacity);
    this.shift = 32 - Math.log2(capacity);
    for (const id of before) if (id !== EMPTY) this.slots[this.slotOf(id)] = id;
  }
}
