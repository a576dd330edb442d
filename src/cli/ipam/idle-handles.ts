// Handles that no address has: what a writer leaves that dies between its handle and its block
// (Calico writes them one after the other). They keep nobody from an address, and go by
// compare-and-swap: a handle or a block that changed meanwhile stays.
import type { Store } from '../../datastore/store.ts';
import { blockKey, handleKey } from '../../model/keys.ts';
import { parseCidr } from '../../net/cidr.ts';
import { allocationsOf, type World } from './world.ts';

/** A handle as it was seen: another revision is another life. */
export interface IdleHandle {
  readonly id: string;
  /** Decimal: it may exceed 2^53. */
  readonly revision: string;
}

/** Handles without addresses; none that names a block which cannot be read. */
export function idleHandles(world: World): readonly IdleHandle[] {
  const held = new Set(allocationsOf(world).flatMap(({ handle }) => handle ?? []));
  const revisions = new Map(world.items.map(({ key, revision }) => [key, revision]));
  const unreadable = new Set<string>(world.unreadable);
  return [...world.handles].flatMap(([id, { block }]) => {
    if (held.has(id) || Object.keys(block).some((range) => unreadable.has(range))) return [];
    return [{ id, revision: String(revisions.get(handleKey(id))) }];
  });
}

/** Those that were idle in the same life at every one of the looks before, too. */
export function lastingIdle(
  now: World,
  before: readonly (readonly IdleHandle[] | undefined)[],
): readonly IdleHandle[] {
  const looks = before.map((look) => new Map(look?.map(({ id, revision }) => [id, revision])));
  return idleHandles(now).filter(({ id, revision }) =>
    looks.every((look) => look.get(id) === revision),
  );
}

/** Removes a handle that is as it was seen, while its blocks are too; whether it did. */
export async function removeIdle(
  store: Store,
  world: World,
  { id, revision }: IdleHandle,
): Promise<boolean> {
  const revisions = new Map(world.items.map((item) => [item.key, item.revision]));
  const ranges = Object.keys(world.handles.get(id)?.block ?? {});
  const blocks = ranges.flatMap((range) => parseCidr(range) ?? []).map(blockKey);
  const { kind } = await store.transaction(
    [
      { key: handleKey(id), revision: BigInt(revision) },
      ...blocks.map((key) => ({ key, revision: revisions.get(key) ?? 0n })),
    ],
    [{ kind: 'delete', key: handleKey(id) }],
  );
  return kind === 'committed';
}
