// One peer of a group: how far it has been told what the group knows.

export interface Member {
  /** Prefixes from here to `retellTo` are yet to be told again. */
  retellFrom: number;
  retellTo: number;
  /** Prefixes that it may know otherwise than the group, with the path identifiers it knows. */
  readonly missed: Map<number, readonly number[]>;
  /** It has no room; changes are kept in `missed`. */
  slow: boolean;
  owesEndOfRib: boolean;
}

/** Notes a change that the member is not told now, with the path identifiers it may know. */
export function miss({ missed }: Member, prefix: number, known: readonly number[]): void {
  const before = missed.get(prefix);
  missed.set(prefix, before ? [...new Set([...before, ...known])] : known);
}
