// Members of ip sets as numbers: a text is kept once, however many sets it is in, and columns of numbers
// are small and quick to search. A number is free for another text when nobody uses it any more.
import type { Family } from '../../net/ip.ts';
import { memberFamily } from '../set-members.ts';

/** Even numbers are IPv4's, odd ones IPv6's; never 0. */
export type MemberId = number;

export const familyOfId = (id: MemberId): Family => (id & 1 ? 6 : 4);

/** The texts' place in the columns. */
const rowOf = (id: MemberId): number => id >> 1;

export class MemberIds {
  private readonly byText = new Map<string, MemberId>();
  /** By row; the first is nobody's. */
  private readonly texts: string[] = [''];
  private readonly uses: number[] = [0];
  private readonly free: number[] = [];

  /** The text's number, for one more user. */
  acquire(text: string): MemberId {
    const known = this.byText.get(text);
    if (known !== undefined) {
      this.uses[rowOf(known)]!++;
      return known;
    }
    const row = this.free.pop() ?? this.texts.length;
    this.texts[row] = text;
    this.uses[row] = 1;
    const id = (row << 1) | (memberFamily(text) === 6 ? 1 : 0);
    this.byText.set(text, id);
    return id;
  }

  /** One user less. */
  release(id: MemberId): void {
    const row = rowOf(id);
    this.uses[row]!--;
    if (this.uses[row] !== 0) return;
    this.byText.delete(this.texts[row]!);
    this.texts[row] = '';
    this.free.push(row);
  }

  text(id: MemberId): string {
    return this.texts[rowOf(id)]!;
  }

  /** Undefined: nobody uses it. */
  find(text: string): MemberId | undefined {
    return this.byText.get(text);
  }

  /** Texts that somebody uses. */
  get size(): number {
    return this.byText.size;
  }
}
