// One controller: a map of what is wanted, the mirror of what is stored, and compare-and-swap writes
// that make the second like the first. Nothing is deleted before both are known whole, and only
// keys that the controller owns.
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { printJson } from '../base/json.ts';
import type { Log } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import type { Store } from '../datastore/store.ts';
import { parseResource, printResource, type Resource } from '../model/resource.ts';
import type { DatastoreMirror } from './datastore-mirror.io.ts';
import { KeyQueue } from './key-queue.io.ts';
import { merged, type Wanted } from './wanted.ts';

export interface ControllerParts {
  readonly store: Store;
  readonly mirror: DatastoreMirror;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Reconciler {
  /** The whole of what is wanted; what is owned and absent here will be deleted. */
  replace(wanted: readonly Wanted[]): void;
  put(wanted: Wanted): void;
  remove(key: string): void;
  /** Looks at what is owned once more: what `keeps` answers may be different now. */
  again(): void;
  readonly failing: readonly string[];
}

/** `keeps` answers whether what nobody wants has to stay for the time being. */
export function openReconciler(
  parts: ControllerParts,
  owns: (key: string) => boolean,
  keeps: (key: string) => Promise<boolean> = async () => false,
): Reconciler {
  const { mirror } = parts;
  const wanted = new Map<string, Wanted>();
  let inSync = false;
  const queue = new KeyQueue({
    ...parts,
    work: async (key) => {
      if (!wanted.has(key) && mirror.get(key) && (await keeps(key))) return;
      const resource = wanted.get(key);
      await (resource ? store(parts, resource) : remove(parts, key));
    },
  });
  const look = (key: string): void => {
    if (inSync && mirror.inSync && owns(key)) queue.add(key);
  };
  const lookAll = (): void => {
    for (const key of new Set([...mirror.keys().filter(owns), ...wanted.keys()])) look(key);
  };
  mirror.onChange(look);
  mirror.onSnapshot(lookAll);
  return {
    get failing() {
      return queue.failing;
    },
    replace(all) {
      wanted.clear();
      for (const one of all) wanted.set(one.key, one);
      inSync = true;
      lookAll();
    },
    put(one) {
      wanted.set(one.key, one);
      look(one.key);
    },
    remove(key) {
      wanted.delete(key);
      look(key);
    },
    again: lookAll,
  };
}

async function remove({ store, mirror, log }: ControllerParts, key: string): Promise<void> {
  const stored = mirror.get(key);
  if (!stored) return;
  const result = await store.transaction(
    [{ key, revision: stored.revision }],
    [{ kind: 'delete', key }],
  );
  if (result.kind === 'conflict') lost(mirror, key, result.current[0]);
  mirror.forget(key);
  log.info({ key }, 'deleted');
}

/** Stores a resource if it differs; throws on a lost race, to be tried again with what is there now. */
export async function store(parts: ControllerParts, wanted: Wanted): Promise<void> {
  const { mirror, clock, log } = parts;
  const { key } = wanted;
  const stored = mirror.get(key);
  const present = stored && parseResource<string, object>(wanted.kind, stored.value);
  const fresh = {
    uid: randomUUID(),
    creationTimestamp: clock
      .date()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z'),
  };
  const resource = merged(wanted, present?.ok ? present.value : undefined, fresh);
  if (present?.ok && same(present.value, resource)) return;
  const value = printResource(resource);
  const result = await parts.store.transaction(
    [{ key, revision: stored?.revision ?? 0n }],
    [{ kind: 'put', key, value }],
  );
  if (result.kind === 'conflict') lost(mirror, key, result.current[0]);
  mirror.learn({ key, value, revision: result.revision });
  log.info({ key }, stored ? 'updated' : 'created');
}

function lost(
  mirror: DatastoreMirror,
  key: string,
  current: Parameters<DatastoreMirror['learn']>[0] | undefined,
): never {
  if (current) mirror.learn(current);
  else mirror.forget(key);
  throw new OpError(`write ${key}`, 'another writer was first');
}

// Key order does not matter.
const same = (a: Resource<string, object>, b: Resource<string, object>): boolean =>
  canonical(a) === canonical(b);

const canonical = (value: unknown): string => JSON.stringify(sorted(JSON.parse(printJson(value))));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
}
