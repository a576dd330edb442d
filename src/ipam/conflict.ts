// What a refused transaction teaches: the present state of what IPAM compared, and which members'
// own compares failed.
import type { KeyValue } from '../datastore/store.ts';
import type { Guard } from './batch.ts';
import type { IpamView } from './ipam-view.ts';

type Current = readonly (KeyValue | undefined)[];

/** Takes the present blocks and handles into the view, so that the next try compares with them. */
export function learnConflict(view: IpamView, guards: readonly Guard[], current: Current): void {
  for (const [i, { compare, alongside }] of guards.entries()) {
    if (alongside) continue;
    const item = current[i];
    if (item) view.put(item);
    else if (compare.revision !== 0n) view.remove(compare.key, compare.revision);
  }
}

/** Member -> index of its own compare that failed. */
export function refusedMembers(
  guards: readonly Guard[],
  current: Current,
): ReadonlyMap<number, number> {
  const refused = new Map<number, number>();
  for (const [i, { compare, alongside }] of guards.entries()) {
    if (alongside && (current[i]?.revision ?? 0n) !== compare.revision) {
      refused.set(alongside.member, alongside.index);
    }
  }
  return refused;
}
