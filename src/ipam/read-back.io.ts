// After a lost reply: did the transaction happen? What is stored now decides; nothing is repeated
// blindly.
import { printJson } from '../base/json.ts';
import type { KeyValue, Store, TransactionResult, Write } from '../datastore/store.ts';
import { parseBlock, parseHandle } from '../model/ipam.ts';
import { blockKey, parseKey } from '../model/keys.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Guard } from './batch.ts';
import { handleOf, ordinalsOf } from './block.ts';

type Texts = ReadonlyMap<string, string>;

export interface ReadBack {
  readonly kind: 'happened' | 'conflict';
  /** What is stored now, by guard. */
  readonly current: Extract<TransactionResult, { kind: 'conflict' }>['current'];
}

/**
 * `happened`: every effect of the writes is there and nothing else that was compared has changed;
 * `conflict`: it has. Throws `cause` when nothing changed at all, and OpError when the store cannot
 * be asked.
 */
export async function readBack(
  store: Store,
  guards: readonly Guard[],
  writes: readonly Write[],
  cause: unknown,
): Promise<ReadBack> {
  const current = await Promise.all(guards.map(({ compare }) => store.get(compare.key)));
  const moved = guards.filter(
    ({ compare }, i) => (current[i]?.revision ?? 0n) !== compare.revision,
  );
  if (moved.length === 0) throw cause; // it did not happen: the caller may ask again
  const now = textsOf(current.flatMap((item) => item ?? []));
  const sent = textsOf(writes.flatMap((write) => (write.kind === 'put' ? [write] : [])));
  const movedKeys = new Set(moved.map(({ compare }) => compare.key));
  const guarded = new Set(guards.map(({ compare }) => compare.key));
  const effects = writes.filter(({ key }) => guarded.has(key));
  const written = new Set(effects.map(({ key }) => key));
  // What was only compared has no effect to be seen: an answer that rests on it must be sought anew.
  const done =
    effects.length > 0 &&
    moved.every(({ compare }) => written.has(compare.key)) &&
    effects.every((write) => movedKeys.has(write.key) && inEffect(write, sent, now));
  return { kind: done ? 'happened' : 'conflict', current };
}

const textsOf = (items: readonly Pick<KeyValue, 'key' | 'value'>[]): Texts =>
  new Map(items.map(({ key, value }) => [key, value]));

// A block may have moved on since (other nodes borrow): the handles tell. A handle's text does not
// say which addresses it has: they must be those that were sent.
function inEffect(write: Write, sent: Texts, now: Texts): boolean {
  const key = parseKey(write.key);
  if (key?.kind === 'block') return true;
  if (write.kind === 'delete') return !now.has(write.key);
  if (now.get(write.key) !== write.value) return false;
  if (key?.kind !== 'handle') return true;
  const handle = parseHandle(write.value);
  if (!handle.ok) return false;
  return Object.keys(handle.value.block).every((cidr) => {
    const path = blockKey(cidr as Cidr);
    return !sent.has(path) || held(sent.get(path), key.id) === held(now.get(path), key.id);
  });
}

// The addresses of the handle in a stored block, and for whom.
function held(text: string | undefined, handleId: string): string {
  const block = text === undefined ? undefined : parseBlock(text);
  if (!block?.ok) return 'none';
  const owners = block.value.attributes.flatMap((attribute) =>
    handleOf(attribute) === handleId ? [Object.entries(attribute.secondary ?? {}).sort()] : [],
  );
  return printJson([ordinalsOf(block.value, handleId), owners.sort()]);
}
