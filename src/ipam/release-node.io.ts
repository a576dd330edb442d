// Everything that a node held in IPAM goes back to the pools: addresses with their endpoints, blocks
// and affinities. For nodes that left the cluster.
import type { Clock } from '../base/clock.ts';
import { OpError } from '../base/op-error.ts';
import type { KeyValue, Store, Write } from '../datastore/store.ts';
import { parseBlock } from '../model/ipam.ts';
import {
  affinityKey,
  affinityPrefix,
  blockKey,
  IPAM,
  parseKey,
  resourcePrefix,
} from '../model/keys.ts';
import { parseResource } from '../model/resource.ts';
import {
  parseWorkloadEndpointName,
  type WorkloadEndpointSpec,
} from '../model/workload-endpoint.ts';
import type { Cidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { type AlongsideWrites, openAllocator } from './allocator.io.ts';
import { ownerOf } from './block.ts';
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
    // Handles first, then endpoints: the listing has the endpoint of every handle known by now.
    const handles = allocator.handles();
    const left = new Set(await endpointsOf(store, node));
    let addresses = 0;
    for (const [handleId, ips] of handles) {
      const mine = [...left].filter((endpoint) => endpoint.ips.some((ip) => ips.includes(ip)));
      const outcome = await allocator.release({ handleId, alongside: deletionOf(mine) });
      if (outcome.kind === 'unavailable') throw outcome.error;
      if (outcome.kind === 'conflict')
        throw new OpError(handleId, 'its endpoint changed meanwhile');
      if (outcome.kind === 'refused') throw new OpError(handleId, outcome.message);
      for (const endpoint of mine) left.delete(endpoint);
      addresses += outcome.ips.length;
    }
    for (const endpoint of left) {
      const { compares, writes } = deletionOf([endpoint]);
      const { kind } = await store.transaction(compares, writes);
      if (kind === 'conflict') throw new OpError(endpoint.key, 'it changed meanwhile');
    }
    return { addresses, blocks: await releaseBlocks(store, node) };
  } finally {
    allocator.close();
  }
}

interface Endpoint {
  readonly key: string;
  readonly revision: bigint;
  readonly ips: readonly Ip[];
}

const deletionOf = (endpoints: readonly Endpoint[]): AlongsideWrites => ({
  compares: endpoints.map(({ key, revision }) => ({ key, revision })),
  writes: endpoints.map(({ key }) => ({ kind: 'delete', key })),
});

async function endpointsOf(store: Store, node: string): Promise<readonly Endpoint[]> {
  const { items } = await store.list(resourcePrefix('workloadendpoints'));
  return items.flatMap(({ key: path, value, revision }) => {
    const key = parseKey(path);
    if (key?.kind !== 'namespaced' || parseWorkloadEndpointName(key.name)?.node !== node) return [];
    const parsed = parseResource<'WorkloadEndpoint', WorkloadEndpointSpec>(
      'WorkloadEndpoint',
      value,
    );
    const networks = (parsed.ok && parsed.value.spec.ipNetworks) || [];
    return [{ key: path, revision, ips: networks.map((network) => network.split('/')[0] as Ip) }];
  });
}

async function releaseBlocks(store: Store, node: string): Promise<number> {
  const { items } = await store.list(affinityPrefix(node));
  for (const affinity of items) {
    const key = parseKey(affinity.key);
    if (key?.kind === 'affinity') await releaseBlock(store, node, key.cidr, affinity);
  }
  // Claims of other writers that were cut short, or came after their affinity was gone.
  const left = (await store.list(`${IPAM}assignment/`)).items.flatMap(({ value }) => {
    const block = parseBlock(value);
    return block.ok && block.value.affinity === ownerOf(node) ? [block.value.cidr] : [];
  });
  for (const cidr of left) await releaseBlock(store, node, cidr);
  return items.length + left.length;
}

// An empty block goes with its affinity; one with foreign (borrowed) addresses loses its owner.
async function releaseBlock(
  store: Store,
  node: string,
  cidr: Cidr,
  affinity?: KeyValue,
): Promise<void> {
  const path = blockKey(cidr);
  const stored = await store.get(path);
  const block = stored && parseBlock(stored.value);
  const writes: Write[] = [
    ...(affinity ? [{ kind: 'delete', key: affinity.key } as const] : []),
    ...(block?.ok ? ownerlessBlock(path, block.value, node) : []),
  ];
  const compares = [
    { key: affinityKey(node, cidr), revision: affinity?.revision ?? 0n },
    { key: path, revision: stored?.revision ?? 0n },
  ];
  const result = await store.transaction(compares, writes);
  if (result.kind === 'conflict')
    throw new OpError(`release block ${cidr}`, 'it changed meanwhile');
}
