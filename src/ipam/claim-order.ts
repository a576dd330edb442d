// The order in which a node looks for a free block: from a start that depends on the node's name
// (so that nodes spread), then onward with wrap. Deterministic per node and pool.

import { type Cidr, cidrFamily, cidrOf, networkOf, prefixLengthOf } from '../net/cidr.ts';
import { bitsOf, ipFromValue, valueOfIp } from '../net/ip.ts';
import type { UsablePool } from './choose-pool.ts';

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

/** Candidate blocks of a pool for a node; ends after `limit` or when all were given. */
export function* candidateBlocks(pool: UsablePool, node: string, limit: number): Generator<Cidr> {
  const family = cidrFamily(pool.cidr);
  const count = 1n << BigInt(Math.max(pool.blockSize - prefixLengthOf(pool.cidr), 0));
  const size = 1n << BigInt(bitsOf(family) - pool.blockSize);
  const base = valueOfIp(networkOf(pool.cidr));
  const start = BigInt(fnv1(node)) % count;
  for (let i = 0n; i < count && i < BigInt(limit); i++) {
    yield cidrOf(ipFromValue(base + ((start + i) % count) * size, family), pool.blockSize);
  }
}
