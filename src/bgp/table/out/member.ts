// One peer of a group: how far it has been told what the group knows.

import type { Missed } from './missed.ts';

export interface Member {
  /** Prefixes from here to `retellTo` are yet to be told again. */
  retellFrom: number;
  retellTo: number;
  /** Prefixes that it may know otherwise than the group, with the path identifiers it knows. */
  readonly missed: Missed;
  /** It has no room; changes are kept in `missed`. */
  slow: boolean;
  /** What it hears when it has been told all. */
  owed: 'endOfRib' | 'endOfRefresh' | undefined;
}

/** Whether it has been told all, and has yet to hear so. */
export const isDue = (
  { owed, slow, retellFrom, retellTo }: Member,
  mark: Member['owed'],
): boolean => owed === mark && !slow && retellFrom >= retellTo;
