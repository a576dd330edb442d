import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.io.ts';
import { memoryStore } from '../datastore/memory.ts';
import type { Store } from '../datastore/store.ts';
import { printIpam } from '../model/ipam.ts';
import {
  blockKey,
  HANDLE_PREFIX,
  IPAM,
  namespacedKey,
  ROOT,
  resourcePrefix,
} from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import { cidr } from '../net/cidr.ts';
import { addPool, open, request } from './allocator.cases.ts';
import { auditIpam } from './audit.ts';
import { emptyBlock } from './block.ts';
import { releaseNode } from './release-node.io.ts';

const endpointKey = namespacedKey('workloadendpoints', 'default', 'a-k8s-pod-eth0');

async function addPod(store: Store): Promise<void> {
  await addPool(store, '10.0.0.0/28', { blockSize: 30 });
  const allocator = await open(store, 'a');
  const outcome = await allocator.assign(
    request('n.c1', {
      attributes: { node: 'a' },
      alongside: (ips) => ({
        compares: [{ key: endpointKey, revision: 0n }],
        writes: [{ kind: 'put', key: endpointKey, value: endpointOf(ips) }],
      }),
    }),
  );
  assert.equal(outcome.kind, 'assigned');
  allocator.close();
}

const endpointOf = (ips: readonly string[]): string =>
  printResource({
    kind: 'WorkloadEndpoint',
    apiVersion: API_VERSION,
    metadata: { name: 'a-k8s-pod-eth0', namespace: 'default' },
    spec: {
      orchestrator: 'k8s',
      node: 'a',
      endpoint: 'eth0',
      containerID: 'c1',
      ipNetworks: ips.map((ip) => `${ip}/32`),
    },
  });

test('an address never goes before its endpoint: audited after every transaction', async () => {
  const store = memoryStore();
  await addPod(store);
  const problems: string[] = [];
  const audited: Store = {
    get: (key) => store.get(key),
    list: (prefix) => store.list(prefix),
    watch: (prefix, watcher, signal) => store.watch(prefix, watcher, signal),
    close: () => {},
    transaction: async (compares, writes) => {
      const result = await store.transaction(compares, writes);
      problems.push(...auditIpam((await store.list(ROOT)).items));
      return result;
    },
  };
  assert.deepEqual(await releaseNode(audited, 'a', systemClock), { addresses: 1, blocks: 1 });
  assert.deepEqual(problems, []);
  for (const prefix of [HANDLE_PREFIX, `${IPAM}assignment/`, resourcePrefix('workloadendpoints')])
    assert.deepEqual((await store.list(prefix)).items, [], prefix);
});

// Another writer's claim: its affinity went with the node, its block came after that.
test('a block that names the node without an affinity goes too', async () => {
  const store = memoryStore();
  await addPod(store);
  await releaseNode(store, 'a', systemClock);
  for (const [node, range] of [
    ['a', '10.0.0.4/30'],
    ['b', '10.0.0.8/30'],
  ] as const)
    store.put(
      blockKey(cidr(range)),
      printIpam(
        emptyBlock({
          cidr: cidr(range),
          owner: `host:${node}`,
          claimedAt: '2026-01-01T00:00:00Z',
          sequenceNumber: 1n,
        }),
      ),
    );
  assert.deepEqual(await releaseNode(store, 'a', systemClock), { addresses: 0, blocks: 1 });
  const left = (await store.list(`${IPAM}assignment/`)).items.map(({ key }) => key);
  assert.deepEqual(left, [blockKey(cidr('10.0.0.8/30'))]);
});
