// After a lost reply: did the transaction happen? What is stored now decides; nothing is repeated
// blindly.
import type { Store, TransactionResult, Write } from '../datastore/store.ts';
import { HANDLE_PREFIX } from '../model/keys.ts';
import type { Guard } from './batch.ts';

/**
 * Looks at a handle of the batch: only this batch writes that value. Throws `cause` when nothing
 * was changed, or when the store cannot be asked.
 */
export async function readBack(
  store: Store,
  guards: readonly Guard[],
  writes: readonly Write[],
  cause: unknown,
): Promise<TransactionResult> {
  const current = await Promise.all(guards.map(({ compare }) => store.get(compare.key)));
  const handle = writes.find((write) => write.key.startsWith(HANDLE_PREFIX));
  if (!handle) throw cause;
  const at = guards.findIndex(({ compare }) => compare.key === handle.key);
  const before = guards[at]?.compare.revision ?? 0n;
  const now = current[at];
  if ((now?.revision ?? 0n) === before) throw cause; // it did not happen: the caller may ask again
  const happened = handle.kind === 'put' ? now?.value === handle.value : now === undefined;
  return happened
    ? { kind: 'committed', revision: now?.revision ?? before + 1n }
    : { kind: 'conflict', current };
}
