// Members of a set, counted, because two endpoints may share an address while one replaces the other.
// Nearly all come once: only the others have a number. What was handed out is never changed; the next
// change after that works on a copy.

export class CountedMembers {
  private members = new Set<string>();
  /** How often those come that come more than once. */
  private readonly counts = new Map<string, number>();
  private handedOut = false;

  add(member: string): void {
    if (this.members.has(member)) this.counts.set(member, (this.counts.get(member) ?? 1) + 1);
    else this.own().add(member);
  }

  /** Once; one that is not there stays away. */
  remove(member: string): void {
    const count = this.counts.get(member) ?? 1;
    if (count > 2) this.counts.set(member, count - 1);
    else if (count === 2) this.counts.delete(member);
    else if (this.members.has(member)) this.own().delete(member);
  }

  /** The same object until a member comes or goes. */
  snapshot(): ReadonlySet<string> {
    this.handedOut = true;
    return this.members;
  }

  private own(): Set<string> {
    if (this.handedOut) this.members = new Set(this.members);
    this.handedOut = false;
    return this.members;
  }
}
