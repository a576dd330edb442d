// Calls that meet: the runtime gives an ADD up and calls DEL while it still runs.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { carryOut } from './commands.io.ts';
import type { CniContext } from './context.ts';
import { memoryNode as node, request } from './memory-node.cases.ts';
import { Turns } from './turns.ts';

const FAILPOINTS = ['outside', 'start', 'veth', 'assigned', 'configured', 'routed', 'programmed'];

/** The call stands still at a failpoint until it is let go. */
function held(context: CniContext, point: string) {
  const [there, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const failpoint = (name: string): void | Promise<void> => {
    if (name !== point) return;
    there.resolve();
    return go.promise;
  };
  return { context: { ...context, failpoint }, there: there.promise, go: go.resolve };
}

for (const point of FAILPOINTS) {
  test(`DEL while ADD of the same container runs (at add:${point}): nothing is left`, async () => {
    const n = await node();
    const { context, there, go } = held(n.context, `add:${point}`);
    const adding = carryOut(context, request('ADD', 'c1'));
    await there;
    const deleting = carryOut(n.context, request('DEL', 'c1'));
    go();
    const added = await adding;
    assert.equal(added.ok ? 0 : added.error.code, 11);
    assert.match(added.ok ? '' : added.error.msg, /DEL came before it had ended/);
    assert.ok((await deleting).ok);
    await n.context.removal.removeAll();
    assert.deepEqual(
      [n.veths(), await n.endpoints(), n.allocator.handles().size, n.policies.size],
      [[], 0, 0, 0],
    );
    assert.ok((await carryOut(n.context, request('ADD', 'c1'))).ok, 'and it may come again');
    n.done();
  });
}

test('DEL ends an ADD that waits for a readiness gate', async () => {
  const asked = Promise.withResolvers<void>();
  const server = createServer(() => asked.resolve()).listen(0, '127.0.0.1');
  const n = await node();
  try {
    await new Promise((resolve) => server.once('listening', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const adding = carryOut(n.context, request('ADD', 'c1', 'calico', { readiness_gates: [url] }));
    await asked.promise;
    assert.ok((await carryOut(n.context, request('DEL', 'c1'))).ok);
    assert.equal((await adding).ok, false);
    assert.deepEqual([n.veths(), await n.endpoints()], [[], 0]);
  } finally {
    server.closeAllConnections();
    server.close();
    n.done();
  }
});

test('an ADD that stands still keeps no other container waiting, and GC passes its container over', async () => {
  const n = await node();
  const { context, there, go } = held(n.context, 'add:programmed');
  const adding = carryOut(context, request('ADD', 'c1'));
  await there;
  const other = { ...request('ADD', 'c2'), pod: { namespace: 'default', name: 'other' } };
  assert.ok((await carryOut(n.context, other)).ok);
  const collected = await carryOut(n.context, { ...request('DEL', 'c1'), command: 'GC' });
  assert.ok(collected.ok, JSON.stringify(collected));
  assert.deepEqual([...n.allocator.handles().keys()], ['k8s-pod-network.c1']);
  go();
  assert.ok((await adding).ok);
  n.done();
});

test('a new sandbox of the pod has taken over: the old one’s undoing leaves its interface, record and rules', async () => {
  const n = await node();
  const { context, there, go } = held(n.context, 'add:routed');
  const adding = carryOut(context, request('ADD', 'c1'));
  await there;
  const deleting = carryOut(n.context, request('DEL', 'c1'));
  assert.ok((await carryOut(n.context, request('ADD', 'c2'))).ok);
  go();
  assert.equal((await adding).ok, false);
  assert.ok((await deleting).ok);
  await n.context.removal.removeAll();
  assert.deepEqual(
    [n.veths().length, await n.endpoints(), n.policies.size, [...n.allocator.handles().keys()]],
    [1, 1, 1, ['k8s-pod-network.c2']],
  );
  n.done();
});

test('turns: in order for one container, the two plugin types apart, nothing kept afterwards', async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const turn = (command: 'ADD' | 'DEL', containerId: string, ifname: string, ipamOnly = false) =>
    turns.take({ command, containerId, ifname, ipamOnly }, async (overtaken) => {
      await setImmediate();
      seen.push(`${containerId} ${ifname} ${command}${overtaken.aborted ? ' overtaken' : ''}`);
    });
  await Promise.all([
    turn('ADD', 'a', 'eth0'),
    turn('ADD', 'a', 'net1'),
    turn('DEL', 'a', 'net1'),
    turn('DEL', 'a', 'net1', true),
    turn('ADD', 'b', 'eth0'),
  ]);
  assert.deepEqual(seen, [
    'a eth0 ADD',
    'a net1 DEL',
    'b eth0 ADD',
    'a net1 ADD overtaken',
    'a net1 DEL',
  ]);
  assert.equal(turns.has({ containerId: 'a', ipamOnly: false }), false);
  await assert.rejects(
    turns.take({ command: 'ADD', containerId: 'a', ifname: 'eth0', ipamOnly: false }, async () => {
      throw new Error('failed');
    }),
  );
  assert.equal(turns.has({ containerId: 'a', ipamOnly: false }), false);
});
