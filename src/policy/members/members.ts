// The members of a set at one moment, as a value that never changes. Only the newest has them all; what
// is older knows how it differs from the one after it, and tells what has come and gone since at the
// cost of the difference (Baker, Shallow Binding Makes Functional Arrays Fast, 1991).

export interface Members extends Iterable<string> {
  readonly size: number;
  has(member: string): boolean;
}

/** What makes one set of another. */
export interface MemberChange {
  readonly added: Iterable<string>;
  readonly removed: Iterable<string>;
}

/** What holds the newest members. */
export interface MemberTable extends Members {}

/** Member -> whether it came (true) or went. */
type Difference = Map<string, boolean>;

export class Version implements Members {
  private readonly table: MemberTable;
  /** How the next one differs, once there is one. */
  private later: { readonly next: Version; readonly difference: Difference } | undefined;
  private sizeThen = 0;

  /** Of what the table holds now. */
  constructor(table: MemberTable) {
    this.table = table;
  }

  /** The table is about to become something else: `difference` will tell in what way. */
  passOn(difference: Difference): Version {
    const next = new Version(this.table);
    this.sizeThen = this.table.size;
    this.later = { next, difference };
    return next;
  }

  get size(): number {
    return this.later ? this.sizeThen : this.table.size;
  }

  has(member: string): boolean {
    let version: Version = this;
    while (version.later) {
      const came = version.later.difference.get(member);
      if (came !== undefined) return !came;
      version = version.later.next;
    }
    return this.table.has(member);
  }

  *[Symbol.iterator](): Iterator<string> {
    // At once: the table must not change meanwhile.
    const now = [...this.table];
    if (!this.later) return yield* now;
    const since = this.until(undefined)!;
    for (const member of now) if (!since.get(member)) yield member;
    for (const [member, came] of since) if (!came) yield member;
  }

  /** From here to `end` (undefined: the newest); undefined: `end` is no later one. */
  until(end: Version | undefined): ReadonlyMap<string, boolean> | undefined {
    const all: Difference = new Map();
    let version: Version = this;
    for (; version.later && version !== end; version = version.later.next)
      for (const [member, came] of version.later.difference)
        if (!all.delete(member)) all.set(member, came);
    return end === undefined || version === end ? all : undefined;
  }
}

const UNCHANGED: MemberChange = { added: [], removed: [] };

function isWithin(some: Members, all: Members): boolean {
  for (const member of some) if (!all.has(member)) return false;
  return true;
}

/** What has to be added to `before` and removed from it so that it becomes `now`. */
export function memberChange(before: Members | undefined, now: Members): MemberChange {
  if (before === undefined) return { added: now, removed: [] };
  if (before instanceof Version && now instanceof Version) {
    const changed = before.until(now);
    if (changed) {
      const members = (came: boolean) =>
        [...changed].filter(([, how]) => how === came).map(([member]) => member);
      return { added: members(true), removed: members(false) };
    }
  }
  if (before.size === now.size && isWithin(before, now)) return UNCHANGED;
  const present = [...now];
  const wanted = new Set(present);
  return {
    added: present.filter((member) => !before.has(member)),
    removed: [...before].filter((member) => !wanted.has(member)),
  };
}
