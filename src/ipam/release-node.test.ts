import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../base/clock.io.ts';
import { memoryStore } from '../datastore/memory.ts';
import type { Store } from '../datastore/store.ts';
import { HANDLE_PREFIX, IPAM, namespacedKey, ROOT, resourcePrefix } from '../model/keys.ts';
import { API_VERSION, printResource } from '../model/resource.ts';
import { addPool, open, request } from './allocator.cases.ts';
import { auditIpam } from './audit.ts';
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
