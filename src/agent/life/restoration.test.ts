// What lives is put back into a datastore that was restored from a backup: on the memory twins.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { handleKey, IPAM, resourcePrefix } from '../../model/keys.ts';
import { addPod } from '../cni/add/add.io.ts';
import type { CniContext } from '../cni/context.ts';
import { deletePod } from '../cni/del/del.io.ts';
import { memoryNode, request } from '../cni/memory-node.cases.ts';
import { recover } from '../recovery.io.ts';
import { Restoration } from './restoration.io.ts';

/** A node with a pod; then the datastore is as it was before that. */
async function restoredNode() {
  const n = await memoryNode();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const handles = [...n.allocator.handles()];
  const before = new Map(
    handles.map(([id, ips]) => [id, { ips, facts: n.allocator.factsOf(id) }] as const),
  );
  const context: CniContext = {
    ...n.context,
    allocator: new Proxy(n.allocator, {
      get: (allocator, name: keyof typeof n.allocator) =>
        name === 'before' ? () => before : allocator[name],
    }),
  };
  const restoration = new Restoration();
  restoration.note(context);
  for (const prefix of [IPAM, resourcePrefix('workloadendpoints')])
    for (const { key } of (await n.memory.list(prefix)).items)
      await n.memory.transaction([], [{ kind: 'delete', key }]);
  for (const { key } of context.view.endpoints) context.view.remove(key, 1n << 60n);
  while (n.allocator.handles().size > 0) await setImmediate(); // the watch is a moment behind
  assert.equal(await n.endpoints(), 0);
  return { ...n, context, restoration, ip: handles[0]![1][0]! };
}

test('a pod that lives has its address, handle and record again, before anything is swept', async () => {
  const n = await restoredNode();
  const done = await recover(n.context, n.restoration);
  assert.deepEqual(done, { restored: 1, releases: 0, endpoints: 0, addresses: 0, interfaces: 0 });
  assert.deepEqual(n.allocator.addressesOf('k8s-pod-network.c1'), [n.ip]);
  assert.ok(await n.memory.get(handleKey('k8s-pod-network.c1')));
  assert.deepEqual([n.veths().length, await n.endpoints()], [1, 1]);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.deepEqual([await n.endpoints(), n.allocator.handles().size], [0, 0]);
  n.done();
});

test('a backup that has the address, but not the record', async () => {
  const n = await memoryNode();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const restoration = new Restoration();
  restoration.note(n.context);
  for (const { key } of (await n.memory.list(resourcePrefix('workloadendpoints'))).items) {
    await n.memory.transaction([], [{ kind: 'delete', key }]);
    n.context.view.remove(key, 1n << 60n);
  }
  await assert.rejects(recover(n.context, restoration), /not in the datastore/); // it may be told yet
  await recover(n.context, restoration);
  assert.deepEqual([restoration.waiting, await n.endpoints(), n.veths().length], [[], 1, 1]);
  n.done();
});

test('one whose address somebody else has by now goes on waiting, and nothing of it is swept', async () => {
  const n = await restoredNode();
  const other = await n.allocator.assign({
    handleId: 'k8s-pod-network.other',
    attributes: { node: 'n1' },
    count4: 1,
    count6: 0,
    requested: [n.ip],
    alongside: () => ({ compares: [], writes: [] }),
  });
  assert.equal(other.kind, 'assigned');
  await assert.rejects(
    recover(n.context, n.restoration),
    /not in the datastore: n1-k8s-web--0-eth0/,
  );
  assert.deepEqual([n.restoration.waiting.length, n.veths().length], [1, 1]);
  // Its end ends the wait.
  await n.kernel.deleteLink(n.veths()[0]!);
  await recover(n.context, n.restoration);
  assert.deepEqual(n.restoration.waiting, []);
  n.done();
});

test('one that DEL has taken meanwhile does not come back', async () => {
  const n = await restoredNode();
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  await recover(n.context, n.restoration);
  assert.deepEqual([n.veths(), await n.endpoints(), n.allocator.handles().size], [[], 0, 0]);
  n.done();
});
