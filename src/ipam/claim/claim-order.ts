// Where a node begins its search: at a place that depends on its name, so that nodes spread over the
// pool and each finds its way back.
import { bitsOf, type Family } from '../../net/ip.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** FNV-1, 32 bits, over the text's bytes. */
export function fnv1(text: string): number {
  let hash = FNV_OFFSET;
  for (const byte of new TextEncoder().encode(text)) {
    hash = Math.imul(hash, FNV_PRIME) >>> 0;
    hash = (hash ^ byte) >>> 0;
  }
  return hash;
}

/**
 * The number that a search starts from. Blocks of one address are claimed all the time: there the
 * time chooses, or the node would walk over its own blocks again and again.
 */
export const searchSeed = (
  node: string,
  { family, blockSize }: { readonly family: Family; readonly blockSize: number },
  now: Date,
): number => (blockSize === bitsOf(family) ? now.getTime() : fnv1(node));
