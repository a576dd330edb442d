// What DEL leaves to the background: links and conntrack entries, on the memory twins.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openLog } from '../../../base/log.io.ts';
import { OpError } from '../../../base/op-error.ts';
import type { Ip } from '../../../net/ip.ts';
import type { LocalPods } from '../../pods.io.ts';
import { sweepNode } from '../../sweep.io.ts';
import { addPod } from '../add/add.io.ts';
import { manageAddress } from '../ipam-only.io.ts';
import { memoryNode as node, request } from '../memory-node.cases.ts';
import { deletePod } from './del.io.ts';
import { forgetFormerFlows } from './flow-removal.io.ts';
import { LinkRemoval } from './link-removal.io.ts';

const QUICK = { quietMilliseconds: 1, patienceMilliseconds: 1, repeatMilliseconds: 1, most: 64 };

test('links that the kernel does not remove stay doomed; ADD says why, and it is repeated', async () => {
  const n = await node();
  const context = {
    ...n.context,
    removal: new LinkRemoval(n.kernel, openLog('test', 'silent'), {
      ...QUICK,
      quietMilliseconds: 3_600_000,
      patienceMilliseconds: 3_600_000,
    }),
  };
  assert.ok((await addPod(context, request('ADD', 'c1'))).ok);
  assert.ok((await deletePod(context, request('DEL', 'c1'))).ok);
  const remove = n.kernel.deleteLinkGroup.bind(n.kernel);
  const repeated = Promise.withResolvers<void>();
  let isBusy = true;
  n.kernel.deleteLinkGroup = async (group) => {
    if (isBusy) throw new OpError('delete links', 'busy', 16);
    await remove(group);
    repeated.resolve();
  };
  const added = await addPod(context, request('ADD', 'c1'));
  assert.equal(added.ok ? 0 : added.error.code, 11);
  assert.equal(context.removal.waiting, 1);
  isBusy = false;
  await repeated.promise;
  assert.ok((await addPod(context, request('ADD', 'c1'))).ok);
  assert.deepEqual([n.veths().length, context.removal.waiting], [1, 0]);
  context.removal.close();
  n.done();
});

test('a link that was doomed before a crash goes at the next start, and a refusal does not end that', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  const remove = n.kernel.deleteLinkGroup.bind(n.kernel);
  const repeated = Promise.withResolvers<void>();
  let refusals = 1;
  n.kernel.deleteLinkGroup = async (group) => {
    if (refusals-- > 0) throw new OpError('delete links', 'busy', 16);
    await remove(group);
    repeated.resolve();
  };
  const next = new LinkRemoval(n.kernel, openLog('test', 'silent'), QUICK);
  await next.tryAll();
  await repeated.promise;
  assert.deepEqual(n.veths(), []);
  n.done();
});

test('who made an interface is remembered as long as it is there', async () => {
  const n = await node();
  const { removal } = n.context;
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  assert.equal(removal.remembered, 1);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(removal.remembered, 0, 'doomed');
  const failpoint = (name: string): void => {
    if (name === 'add:routed') throw new OpError('route', 'refused');
  };
  assert.equal((await addPod({ ...n.context, failpoint }, request('ADD', 'c1'))).ok, false);
  assert.equal(removal.remembered, 0, 'undone');
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  for (const { key, revision } of n.context.view.endpoints) n.context.view.remove(key, revision);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(removal.remembered, 0, 'without a record');
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  n.kernel.removeNetns('/ns/c1'); // and the pair with it; DEL never comes
  await sweepNode(n.context);
  assert.equal(removal.remembered, 0, 'gone with its namespace');
  n.done();
});

test('an address that is given out again has its former owner’s flows forgotten first, and only those', async () => {
  const forgotten: Ip[] = [];
  let refuses = false;
  const n = await node({
    deleteFlows: async (ips) => {
      if (refuses) throw new OpError('delete flows', 'no such protocol');
      forgotten.push(...ips);
    },
  });
  const addresses = (): readonly Ip[] => [...n.allocator.handles().values()].flat();
  const one = { ...request('ADD', 'c1'), requestedIp: '192.168.0.7' as Ip };
  assert.ok((await addPod(n.context, one)).ok);
  assert.deepEqual([addresses(), forgotten], [['192.168.0.7'], []]);
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.equal(n.context.flows.waiting, 1, 'later');
  const failpoint = (name: string): void => {
    if (name === 'add:routed') assert.deepEqual(forgotten, ['192.168.0.7']);
  };
  const two = { ...request('ADD', 'c2'), requestedIp: '192.168.0.7' as Ip };
  assert.ok((await addPod({ ...n.context, failpoint }, two)).ok);
  assert.deepEqual([forgotten.length, n.context.flows.waiting], [1, 0]);
  // A kernel that refuses is no reason to refuse the pod.
  refuses = true;
  assert.ok((await deletePod(n.context, request('DEL', 'c2'))).ok);
  assert.ok((await addPod(n.context, one)).ok);
  assert.equal(n.context.flows.waiting, 0, 'what is forgotten now would be the new owner’s');
  n.done();
});

test('calico-ipam under another main plugin: its next owner keeps its flows, and gets no former one’s', async () => {
  const forgotten: Ip[] = [];
  const n = await node({ deleteFlows: async (ips) => void forgotten.push(...ips) });
  const ask = (command: string, containerId: string) =>
    manageAddress(n.context, {
      ...request(command, containerId, 'calico-ipam', { type: 'bridge' }),
      requestedIp: '192.168.0.7' as Ip,
    });
  assert.ok((await ask('ADD', 'c1')).ok);
  assert.ok((await ask('DEL', 'c1')).ok);
  assert.deepEqual([forgotten, n.context.flows.waiting], [[], 1]);
  assert.ok((await ask('ADD', 'c2')).ok);
  assert.deepEqual([forgotten, n.context.flows.waiting], [['192.168.0.7'], 0]);
  n.done();
});

test('flows of an address that another IPAM plugin gave, or that an ADD which failed had, are forgotten', async () => {
  const n = await node();
  const own = { 'cni.projectcalico.org/ipAddrsNoIpam': '["10.9.9.9"]' };
  const pods = {
    find: async () => ({ metadata: { annotations: own }, spec: { containers: [] } }),
    namespace: async () => ({ metadata: {} }),
  } as unknown as LocalPods;
  const features = { feature_control: { ip_addrs_no_ipam: true } };
  const one = request('ADD', 'c1', 'calico', features);
  assert.ok((await addPod({ ...n.context, pods }, one)).ok);
  assert.ok((await deletePod(n.context, { ...one, command: 'DEL' })).ok);
  assert.ok(n.context.flows.gone('10.9.9.9' as Ip));
  await n.context.flows.doAll();
  const failpoint = (name: string): void => {
    if (name === 'add:programmed') throw new OpError('rules', 'refused');
  };
  const two = { ...request('ADD', 'c2'), requestedIp: '192.168.0.7' as Ip };
  assert.equal((await addPod({ ...n.context, failpoint }, two)).ok, false);
  assert.ok(n.context.flows.gone('192.168.0.7' as Ip));
  await n.context.flows.doAll();
  n.done();
});

test('flows of the addresses that a sweep frees are forgotten, and of all free ones at a start', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const [ip] = [...n.allocator.handles().values()].flat();
  assert.equal(n.allocator.freeAddresses().includes(ip!), false);
  assert.equal(n.allocator.freeAddresses().length, 63);
  await n.kernel.deleteLink(n.veths()[0]!);
  await sweepNode(n.context);
  assert.equal(n.context.flows.waiting, 1);
  assert.ok(n.allocator.freeAddresses().includes(ip!));
  await n.context.flows.doAll();
  forgetFormerFlows(n.context);
  assert.equal(n.context.flows.waiting, 64);
  await n.context.flows.doAll();
  // An address without a record is free for IPAM, and a living pod's.
  const features = { feature_control: { ip_addrs_no_ipam: true } };
  const own = { 'cni.projectcalico.org/ipAddrsNoIpam': JSON.stringify([ip]) };
  const pods = {
    find: async () => ({ metadata: { annotations: own }, spec: { containers: [] } }),
    namespace: async () => ({ metadata: {} }),
  } as unknown as LocalPods;
  const named = await addPod({ ...n.context, pods }, request('ADD', 'c2', 'calico', features));
  assert.ok(named.ok, JSON.stringify(named));
  forgetFormerFlows(n.context);
  assert.deepEqual([n.context.flows.waiting, n.context.flows.gone(ip!)], [63, undefined]);
  n.done();
});

test('DEL of a link that went with its namespace, or came anew under the name, dooms nothing', async () => {
  const n = await node();
  assert.ok((await addPod(n.context, request('ADD', 'c1'))).ok);
  const [name = ''] = n.veths();
  n.kernel.removeNetns('/ns/c1');
  n.kernel.addLink({ name, mtu: 1500, up: true }); // somebody else's
  assert.ok((await deletePod(n.context, request('DEL', 'c1'))).ok);
  assert.deepEqual([n.context.removal.waiting, n.allocator.handles().size], [0, 0]);
  await n.context.removal.removeAll();
  assert.ok(n.kernel.link(name));
  n.done();
});
