// ADD, DEL and the sweep on the memory twins: sandboxes of one pod that overlap, a watch that lags,
// failures that must leave nothing.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { OpError } from '../../base/op-error.ts';
import { ROUTE_PROTOCOL, type Route } from '../../kernel/kernel.ts';
import { type Cidr, cidr, hostCidr, ipAt } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { recover } from '../recovery.io.ts';
import { sweepNode } from '../sweep.io.ts';
import { addPod } from './add/add.io.ts';
import type { CniContext } from './context.ts';
import { deletePod, replayJournal } from './del/del.io.ts';
import { ReleaseJournal } from './del/journal.io.ts';
import { manageAddress } from './ipam-only.io.ts';
import { memoryNode as node, request } from './memory-node.cases.ts';

test('DEL of an old sandbox beside ADD of the new one: a good answer means a pod with an interface', async () => {
  for (let offset = 0; offset < 8; offset++) {
    const n = await node();
    const [added] = await Promise.all([
      addPod(n.context, request('ADD', 'c2')),
      setTimeout(offset).then(() => deletePod(n.context, request('DEL', 'c1'))),
    ]);
    assert.ok(added.ok, `offset ${offset}`);
    assert.equal(n.veths().length, 1, `offset ${offset}`);
    assert.equal(n.policies.size, 1);
    n.done();
  }
});

test('DEL right after ADD while the watch lags: no endpoint stays', async () => {
  const n = await node({ lagMilliseconds: 60 });
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  await setTimeout(100);
  assert.equal(await n.endpoints(), 0);
  await n.context.removal.removeAll();
  assert.deepEqual(n.veths(), []);
  assert.equal(n.allocator.handles().size, 0);
  n.done();
});

test('DEL cuts the pod off at once and removes its link later; ADD in the same namespace waits for that', async () => {
  const n = await node();
  const podRoutes = (): number =>
    n.kernel.routes({ protocol: ROUTE_PROTOCOL.boot, family: 4 }).length;
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.equal(podRoutes(), 1);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.deepEqual([n.veths().length, n.context.removal.waiting, podRoutes()], [1, 1, 0]);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok, 'DEL may be repeated');
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.deepEqual([n.veths().length, n.context.removal.waiting, podRoutes()], [1, 0, 1]);
  n.done();
});

test('DEL of an old sandbox leaves the link that a newer one has just made', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  n.context.removal.made(n.kernel.link(n.veths()[0]!)!, 'c2'); // its ADD is under way: the record is c1's still
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(n.context.removal.waiting, 0);
  n.done();
});

test('ADD of a new sandbox replaces the old one’s endpoint; the late DEL of the old frees only its address', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.ok((await addPod(n.context, request('ADD', 'c2'))).ok);
  assert.equal(n.allocator.handles().size, 2);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.deepEqual([...n.allocator.handles().keys()], ['k8s-pod-network.c2']);
  assert.equal(n.veths().length, 1);
  assert.equal(await n.endpoints(), 1);
  n.done();
});

test('an address that moves here: the route that BGP still has to its old node gives way', async () => {
  const n = await node();
  const eth0 = n.kernel.addLink({ name: 'eth0', mtu: 1500, up: true }, [
    { ip: ip('10.0.0.1'), prefixLength: 24, scope: 'global' },
  ]);
  const learned = (destination: Cidr): Route => ({
    destination,
    kind: 'unicast',
    gateway: ip('10.0.0.2'),
    linkIndex: eth0.index,
    scope: 'global',
    protocol: ROUTE_PROTOCOL.bird,
    metric: 0,
    onlink: false,
  });
  const pool = cidr('192.168.0.0/24');
  for (let at = 0; at < 256; at++)
    n.kernel.apply([{ kind: 'addRoute', route: learned(hostCidr(ipAt(pool, at))) }]);
  const added = await addPod(n.context, request('ADD', 'c1'));
  assert.ok(added.ok);
  const link = n.kernel.links().find(({ name }) => name.startsWith('cali'));
  const [there, ...more] = n.kernel.routes().filter(({ linkIndex }) => linkIndex === link?.index);
  assert.deepEqual([there?.protocol, more], [ROUTE_PROTOCOL.boot, []]);
  const rivals = n.kernel.routes().filter((route) => route.destination === there?.destination);
  assert.equal(rivals.length, 1);
  n.done();
});

test('ADD into a namespace that is gone: code 3, nothing left', async () => {
  const n = await node();
  const added = await addPod(n.context, { ...request('ADD', 'c1'), netns: '/ns/nowhere' });
  assert.equal(added.ok ? 0 : added.error.code, 3);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 0]);
  n.done();
});

test('ADD while the store is away: code 11, nothing left', async () => {
  const n = await node();
  n.memory.failNext('transaction');
  const added = await addPod(n.context, request('ADD', 'c1'));
  assert.equal(added.ok ? 0 : added.error.code, 11);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 0]);
  n.done();
});

test('rules that are not in the kernel in the time that the configuration gives: code 11, nothing left', async () => {
  const n = await node();
  const waited: (number | undefined)[] = [];
  const putEndpoint = async (_key: string, _value: string, revision?: bigint, limit?: number) => {
    if (revision === undefined) return;
    waited.push(limit);
    throw new OpError('program policy', 'the rules were not written in time');
  };
  const context: CniContext = { ...n.context, policy: { ...n.context.policy, putEndpoint } };
  const given = { policy_setup_timeout_seconds: 7 };
  for (const more of [{}, given]) {
    const added = await addPod(context, request('ADD', 'c1', 'calico', more));
    assert.equal(added.ok ? 0 : added.error.code, 11);
    const left = [n.veths().length, await n.endpoints(), n.allocator.handles().size];
    assert.deepEqual(left, [0, 0, 0]);
  }
  assert.deepEqual(waited, [undefined, 7000]);
  n.done();
});

test('an undo that fails because the store went away: recovery is asked for, and leaves nothing', async () => {
  const n = await node();
  let asked = 0;
  const context: CniContext = {
    ...n.context,
    recoverSoon: () => void asked++,
    callCount: () => 1,
    failpoint: (name) => {
      if (name !== 'add:routed') return;
      n.memory.failNext('transaction');
      throw new OpError('route', 'refused');
    },
  };
  assert.equal((await addPod(context, request('ADD', 'c1'))).ok, false);
  assert.deepEqual([asked, await n.endpoints(), n.allocator.handles().size], [1, 1, 1]);
  await recover(context);
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 0]);
  n.done();
});

test('the sweep removes what nobody owns, and nothing that lives (container IDs may hold dots)', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'a.b'))).ok);
  assert.deepEqual(await sweepNode(n.context), { endpoints: 0, addresses: 0, interfaces: 0 });
  assert.equal(n.allocator.handles().size, 1);
  await n.allocator.assign({
    handleId: 'k8s-pod-network.lost',
    attributes: { node: 'n1' },
    count4: 1,
    count6: 0,
    alongside: () => ({ compares: [], writes: [] }),
  });
  n.kernel.addNetns('/ns/x');
  await n.kernel.addVeth({ name: 'cali0123456789a', peer: 'eth0', peerNetns: '/ns/x', mtu: 1500 });
  assert.deepEqual(await sweepNode(n.context), { endpoints: 0, addresses: 1, interfaces: 1 });
  n.kernel.removeNetns('/ns/a.b');
  assert.deepEqual(await sweepNode(n.context), { endpoints: 1, addresses: 1, interfaces: 0 });
  assert.equal(await n.endpoints(), 0);
  n.done();
});

test('calico-ipam under another plugin: an address, no interface, no endpoint', async () => {
  const n = await node();
  const added = await manageAddress(n.context, request('ADD', 'c1', 'calico-ipam'));
  assert.match(
    added.ok ? added.value : '',
    /"ips":\[\{"version":"4","address":"192\.168\.0\.\d+\/32"\}\]/,
  );
  assert.deepEqual([n.veths().length, await n.endpoints(), n.allocator.handles().size], [0, 0, 1]);
  assert.ok((await manageAddress(n.context, request('CHECK', 'c1', 'calico-ipam'))).ok);
  assert.ok((await manageAddress(n.context, request('DEL', 'c1', 'calico-ipam'))).ok);
  assert.equal(n.allocator.handles().size, 0);
  n.done();
});

test('the sweep leaves what a bridge answers for: no route shows it', async () => {
  const n = await node();
  const bridge = request('ADD', 'c1', 'calico-ipam', { type: 'bridge' });
  assert.ok((await manageAddress(n.context, bridge)).ok);
  assert.deepEqual(await sweepNode(n.context), { endpoints: 0, addresses: 0, interfaces: 0 });
  assert.equal(n.allocator.handles().size, 1);
  n.done();
});

test('DEL while the datastore is away: the pod is cut off, the release waits on disk and is carried out later', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  n.memory.failNext('transaction');
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(n.kernel.routes({ protocol: ROUTE_PROTOCOL.boot, family: 4 }).length, 0);
  assert.equal(n.allocator.handles().size, 1, 'nobody gets the address meanwhile');
  const files = readdirSync(n.folder);
  assert.equal(files.length, 1);
  writeFileSync(join(n.folder, 'torn.json'), '{"handleId":');
  // The next process finds it.
  const context = { ...n.context, journal: new ReleaseJournal(n.folder) };
  assert.equal(await replayJournal(context), 1);
  assert.deepEqual([n.allocator.handles().size, await n.endpoints()], [0, 0]);
  assert.deepEqual(readdirSync(n.folder), ['torn.json']);
  assert.equal(await replayJournal(context), 0);
  n.done();
});

test('a container that comes again keeps its address: its journal entry is void', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  n.memory.failNext('transaction');
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.equal(await replayJournal(n.context), 0);
  assert.deepEqual([n.allocator.handles().size, await n.endpoints()], [1, 1]);
  n.done();
});

test('a release that waited leaves the endpoint of a newer container of the pod', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  n.memory.failNext('transaction');
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.ok((await addPod(n.context, request('ADD', 'c2'))).ok);
  assert.equal(await replayJournal(n.context), 1);
  assert.deepEqual([n.allocator.handles().size, await n.endpoints(), n.policies.size], [1, 1, 1]);
  n.done();
});

test('ADD in a namespace whose former link is just being removed for somebody else', async () => {
  const n = await node();
  const remove = n.kernel.deleteLinkGroup;
  n.kernel.deleteLinkGroup = (group) => setTimeout(20).then(() => remove.call(n.kernel, group));
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  // Under another pod's name the host's interface is another one: only the namespace is the same.
  const other = { ...request('ADD', 'c1'), pod: { namespace: 'default', name: 'other' } };
  const added = addPod(n.context, other);
  const removing = setTimeout(1).then(() => n.context.removal.removeAll());
  const outcome = await added;
  assert.ok(outcome.ok, JSON.stringify(outcome));
  await removing;
  n.done();
});
