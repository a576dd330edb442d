// Members of a set as they come and go, counted, because two endpoints may share an address while one
// replaces the other. Nearly all come once: only the others have a number.
import { IdTable } from './id-table.ts';
import type { MemberId, MemberIds } from './member-ids.ts';
import { type Members, type MemberTable, Version } from './members.ts';

export class CountedMembers implements MemberTable {
  private readonly ids: MemberIds;
  private readonly table = new IdTable();
  /** How often those come that come more than once. */
  private readonly counts = new Map<MemberId, number>();
  /** The newest; undefined until somebody has asked. */
  private version: Version | undefined;
  private handedOut = false;
  /** What has changed since the last one that was handed out. */
  private difference: Map<string, boolean> | undefined;

  constructor(ids: MemberIds) {
    this.ids = ids;
  }

  add(id: MemberId): void {
    if (this.table.has(id)) this.counts.set(id, (this.counts.get(id) ?? 1) + 1);
    else {
      this.change(id, true);
      this.table.add(id);
    }
  }

  /** Once; one that is not there stays away. */
  remove(id: MemberId): void {
    const count = this.counts.get(id) ?? 1;
    if (count > 2) this.counts.set(id, count - 1);
    else if (count === 2) this.counts.delete(id);
    else if (this.table.has(id)) {
      this.change(id, false);
      this.table.delete(id);
    }
  }

  /** The same object until a member comes or goes. */
  snapshot(): Members {
    this.version ??= new Version(this);
    this.handedOut = true;
    this.difference = undefined;
    return this.version;
  }

  get size(): number {
    return this.table.size;
  }

  has(member: string): boolean {
    const id = this.ids.find(member);
    return id !== undefined && this.table.has(id);
  }

  *[Symbol.iterator](): Iterator<string> {
    for (const id of this.table) yield this.ids.text(id);
  }

  // Before it happens.
  private change(id: MemberId, comes: boolean): void {
    if (this.version && this.handedOut) {
      this.difference = new Map();
      this.version = this.version.passOn(this.difference);
      this.handedOut = false;
    }
    const { difference } = this;
    if (!difference) return;
    const member = this.ids.text(id);
    if (!difference.delete(member)) difference.set(member, comes);
  }
}
