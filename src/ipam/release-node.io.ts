// Everything that a node held in IPAM goes back to the pools: addresses with their endpoints, blocks
// and affinities. For nodes that left the cluster.
import type { Clock } from '../base/clock.ts';
import { OpError } from '../base/op-error.ts';
import type { KeyValue, Store, Write } from '../datastore/store.ts';
import { parseBlock } from '../model/ipam.ts';
import { affinityPrefix, blockKey, parseKey, resourcePrefix } from '../model/keys.ts';
import { parseWorkloadEndpointName } from '../model/workload-endpoint.ts';
import { openAllocator } from './allocator.io.ts';
import { ownerlessBlock } from './claim/give-back.ts';

/** Throws OpError when the store fails or a race is lost; calling again goes on where it stopped. */
export async function releaseNode(
  store: Store,
  node: string,
  clock: Clock,
): Promise<{ addresses: number; blocks: number }> {
  const allocator = openAllocator({ store, node, clock, upkeep: false });
  try {
    await allocator.ready();
    let addresses = 0;
    for (const handleId of allocator.handles().keys()) {
      const outcome = await allocator.release({ handleId });
      if (outcome.kind === 'unavailable') throw outcome.error;
      if (outcome.kind === 'released') addresses += outcome.ips.length;
    }
    await deleteEndpoints(store, node);
    return { addresses, blocks: await releaseBlocks(store, node) };
  } finally {
    allocator.close();
  }
}

async function deleteEndpoints(store: Store, node: string): Promise<void> {
  const { items } = await store.list(resourcePrefix('workloadendpoints'));
  for (const { key: path, revision } of items) {
    const key = parseKey(path);
    if (key?.kind !== 'namespaced' || parseWorkloadEndpointName(key.name)?.node !== node) continue;
    await store.transaction([{ key: path, revision }], [{ kind: 'delete', key: path }]);
  }
}

async function releaseBlocks(store: Store, node: string): Promise<number> {
  const { items } = await store.list(affinityPrefix(node));
  for (const affinity of items) await releaseBlock(store, affinity);
  return items.length;
}

// An empty block goes with its affinity; one with foreign (borrowed) addresses loses its owner.
async function releaseBlock(store: Store, affinity: KeyValue): Promise<void> {
  const key = parseKey(affinity.key);
  if (key?.kind !== 'affinity') return;
  const path = blockKey(key.cidr);
  const stored = await store.get(path);
  const block = stored && parseBlock(stored.value);
  const writes: Write[] = [
    { kind: 'delete', key: affinity.key },
    ...(block?.ok ? ownerlessBlock(path, block.value, key.node) : []),
  ];
  const compares = [
    { key: affinity.key, revision: affinity.revision },
    { key: path, revision: stored?.revision ?? 0n },
  ];
  const result = await store.transaction(compares, writes);
  if (result.kind === 'conflict')
    throw new OpError(`release block ${key.cidr}`, 'it changed meanwhile');
}
