// Prefix numbers that wait, each once, in the order in which they came.
import { grown, roomAbove } from './columns.ts';

const CAPACITY_MIN = 4096;

export class Queue {
  private items = new Int32Array(CAPACITY_MIN);
  private first = 0;
  private end = 0;
  private waiting = new Uint8Array(CAPACITY_MIN);

  get length(): number {
    return this.end - this.first;
  }

  put(item: number): void {
    if (item >= this.waiting.length)
      this.waiting = grown(this.waiting, Math.max(item + 1, roomAbove(this.waiting.length)));
    if (this.waiting[item] === 1) return;
    this.waiting[item] = 1;
    if (this.end === this.items.length) this.makeRoom();
    this.items[this.end++] = item;
  }

  /** The first `count` of these. */
  putMany(items: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) this.put(items[i]!);
  }

  /** For so many, while there are few to copy. */
  widen(length: number): void {
    if (length > this.waiting.length) this.waiting = grown(this.waiting, length);
    if (length > this.items.length) this.items = grown(this.items, length);
  }

  has(item: number): boolean {
    return this.waiting[item] === 1;
  }

  /** The one that waits longest; there must be one. */
  take(): number {
    const item = this.items[this.first++]!;
    this.waiting[item] = 0;
    if (this.first === this.end) this.first = this.end = 0;
    return item;
  }

  private makeRoom(): void {
    if (this.first > this.items.length / 2) {
      this.items.copyWithin(0, this.first, this.end);
      this.end -= this.first;
      this.first = 0;
    } else this.items = grown(this.items, roomAbove(this.items.length));
  }
}
