// What belongs to another container stays: paths that are used again, IDs that begin alike, calls that
// are refused before they begin.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpError } from '../../base/op-error.ts';
import type { LocalPods } from '../pods.io.ts';
import { recover } from '../recovery.io.ts';
import { addPod } from './add/add.io.ts';
import type { CniContext } from './context.ts';
import { deletePod } from './del/del.io.ts';
import { LinkRemoval } from './del/link-removal.io.ts';
import { memoryNode as node, request } from './memory-node.cases.ts';

type Node = Awaited<ReturnType<typeof node>>;

/** The same node after a restart: nothing is remembered of who made which interface. */
const restarted = ({ context, kernel }: Node): CniContext => ({
  ...context,
  removal: new LinkRemoval(kernel, context.log),
});

/** Kubernetes still knows the pod: its record is not dead by itself. */
const podsOfKubernetes = { inSync: true, known: () => ({}), all: () => [] } as unknown as LocalPods;

test('ADD that is refused before it begins does not make a release void that was put off', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  n.memory.failNext('transaction');
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  const refused = request('ADD', 'c1', 'calico', { require_mtu_file: true });
  assert.equal((await addPod(n.context, refused)).ok, false);
  await n.context.removal.removeAll();
  await recover({ ...n.context, pods: podsOfKubernetes });
  assert.deepEqual([await n.endpoints(), n.allocator.handles().size], [0, 0]);
  n.done();
});

test('an undoing that the datastore did not take is carried out later, though Kubernetes has the pod', async () => {
  const n = await node();
  const failpoint = (name: string): void => {
    if (name !== 'add:routed') return;
    n.memory.failNext('transaction');
    throw new OpError('route', 'refused');
  };
  assert.equal((await addPod({ ...n.context, failpoint }, request('ADD', 'c1'))).ok, false);
  assert.deepEqual([await n.endpoints(), n.allocator.handles().size], [1, 1]);
  await recover({ ...n.context, pods: podsOfKubernetes });
  assert.deepEqual([await n.endpoints(), n.allocator.handles().size], [0, 0]);
  n.done();
});

test('ADD whose network namespace cannot be opened touches nothing: the pod’s living sandbox stays', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const added = await addPod(n.context, { ...request('ADD', 'c9'), netns: '/ns/none' });
  assert.equal(added.ok ? 0 : added.error.code, 3);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.policies.size], [1, 1, 1]);
  assert.deepEqual([...n.allocator.handles().keys()], ['k8s-pod-network.c1']);
  n.done();
});

for (const remembers of [true, false]) {
  const when = remembers ? '' : ' (after a restart)';

  test(`a repeated DEL whose namespace’s path another container has by now leaves that one’s interface${when}`, async () => {
    const n = await node();
    assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
    assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
    await n.context.removal.removeAll();
    for (const name of ['other', 'web-0']) {
      const pod = { namespace: 'default', name };
      const other = { ...request('ADD', 'c2'), netns: '/ns/c1', pod };
      assert.ok((await addPod(n.context, other)).ok);
      const context = remembers ? n.context : restarted(n);
      assert.ok((await deletePod(context, request('DEL', 'c1'))).ok);
      assert.equal(n.veths().length, 1, `pod ${name}`);
      assert.ok((await deletePod(n.context, { ...other, command: 'DEL' })).ok);
      await n.context.removal.removeAll();
    }
    n.done();
  });

  test(`containers outside Kubernetes whose IDs begin alike: the second is refused, the first stays${when}`, async () => {
    const n = await node();
    const plain = (command: string, containerId: string, netns: string) => ({
      ...request(command, containerId),
      netns,
      pod: undefined,
    });
    assert.ok((await addPod(n.context, plain('ADD', 'container-0001', '/ns/c1'))).ok);
    const context = remembers ? n.context : restarted(n);
    const second = await addPod(context, plain('ADD', 'container-0002', '/ns/c2'));
    assert.equal(second.ok ? 0 : second.error.code, 4);
    assert.match(second.ok ? '' : second.error.msg, /container-0002 begins like container-0001/);
    assert.ok((await deletePod(context, plain('DEL', 'container-0002', '/ns/c2'))).ok);
    assert.deepEqual(
      [n.veths().length, await n.endpoints(), n.policies.size, context.removal.waiting],
      [1, 1, 1, 0],
    );
    // Once the first is gone, the name is free.
    assert.ok((await deletePod(context, plain('DEL', 'container-0001', '/ns/c1'))).ok);
    assert.ok((await addPod(context, plain('ADD', 'container-0002', '/ns/c2'))).ok);
    n.done();
  });

  test(`DEL removes what an ADD left that did not come to its record${when}`, async () => {
    const n = await node();
    assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
    for (const { key, revision } of n.context.view.endpoints) n.context.view.remove(key, revision);
    const context = remembers ? n.context : restarted(n);
    assert.ok((await deletePod(context, request('DEL', 'c1'))).ok);
    assert.deepEqual([n.veths(), n.kernel.enter('/ns/c1').link('eth0')], [[], undefined]);
    n.done();
  });
}
