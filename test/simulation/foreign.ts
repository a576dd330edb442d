// Another writer of the same layout, as Calico's own plugin: it claims and releases blocks in steps,
// and may stop after any of them.
import { emptyBlock } from '../../src/ipam/block.ts';
import { printIpam } from '../../src/model/ipam.ts';
import { affinityKey, blockKey } from '../../src/model/keys.ts';
import { type Cidr, cidr, cidrOf, ipAt, sizeOf } from '../../src/net/cidr.ts';
import type { Cluster } from './cluster.ts';
import type { Connection } from './network.ts';
import type { SimulatedNode } from './node.ts';

const MILLISECOND = 1_000;

/** Begins a claim or a release of a block in the node's name, and may not finish it. */
export async function halfDone(cluster: Cluster, node: SimulatedNode): Promise<void> {
  if (node.leaving) return;
  const { random } = cluster;
  const pool = random.of(cluster.plan.pools);
  const range = cidr(pool.cidr);
  const address = ipAt(range, random.integer(0, Number(sizeOf(range)) - 1));
  const block = cidrOf(address, pool.blockSize);
  const connection = cluster.network.connect(node.name, 0);
  const steps = random.integer(1, 3);
  cluster.scheduler.trace.counted('half done by others');
  try {
    await (random.chance(0.6)
      ? claim(cluster, connection, block, steps)
      : giveBack(connection, block, steps));
  } catch {
    // It stops where it is: that is its part.
  } finally {
    connection.die();
  }
}

const pending = printIpam({ state: 'pending', deleted: false });

// An affinity that is not confirmed, the block, the affinity confirmed.
async function claim(
  { scheduler }: Cluster,
  store: Connection,
  block: Cidr,
  steps: number,
): Promise<void> {
  const affinity = affinityKey(store.node, block);
  const first = await store.transaction(
    [{ key: affinity, revision: 0n }],
    [{ kind: 'put', key: affinity, value: pending }],
  );
  if (first.kind === 'conflict' || steps === 1) return;
  const now = new Date(Date.UTC(2026, 0, 1) + scheduler.now / MILLISECOND);
  const value = emptyBlock({
    cidr: block,
    owner: `host:${store.node}`,
    claimedAt: now.toISOString(),
    sequenceNumber: BigInt(now.getTime()) * 1_000_000n,
  });
  const second = await store.transaction(
    [{ key: blockKey(block), revision: 0n }],
    [{ kind: 'put', key: blockKey(block), value: printIpam(value) }],
  );
  if (second.kind === 'conflict') await remove(store, affinity, first.revision);
  if (second.kind === 'conflict' || steps === 2) return;
  const confirmed = printIpam({ state: 'confirmed', deleted: false });
  await store.transaction(
    [{ key: affinity, revision: first.revision }],
    [{ kind: 'put', key: affinity, value: confirmed }],
  );
}

// The affinity on its way out, the empty block gone, the affinity gone.
async function giveBack(store: Connection, block: Cidr, steps: number): Promise<void> {
  const affinity = affinityKey(store.node, block);
  const [mine, stored] = [await store.get(affinity), await store.get(blockKey(block))];
  if (!mine || !stored?.value.includes(`"affinity":"host:${store.node}"`)) return;
  if (!stored.value.includes('"attributes":[]')) return;
  const first = await store.transaction(
    [{ key: affinity, revision: mine.revision }],
    [
      {
        kind: 'put',
        key: affinity,
        value: printIpam({ state: 'pendingDeletion', deleted: false }),
      },
    ],
  );
  if (first.kind === 'conflict' || steps === 1) return;
  const second = await remove(store, blockKey(block), stored.revision);
  if (second && steps === 3) await remove(store, affinity, first.revision);
}

async function remove(store: Connection, key: string, revision: bigint): Promise<boolean> {
  const { kind } = await store.transaction([{ key, revision }], [{ kind: 'delete', key }]);
  return kind === 'committed';
}
