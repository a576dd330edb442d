// The node's address while the agent runs, over the memory twins.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import pino from 'pino';
import { eventually } from '../../../test/lab/command.ts';
import { systemClock } from '../../base/clock.io.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import { resourceKey } from '../../model/keys.ts';
import type { NodeSpec } from '../../model/node.ts';
import { API_VERSION } from '../../model/resource.ts';
import { parseInterfaceAddress } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { watchHost } from '../life/host-watch.io.ts';
import { AddressWatch } from './address-watch.io.ts';
import { planAddress } from './node-address.ts';

const NODE = resourceKey('nodes', 'n1');
let stop: AbortController;
beforeEach(() => {
  stop = new AbortController();
});
afterEach(() => stop.abort());

const TUNNEL = '192.168.5.1';
const nodeText = (name: string, ipv4Address: string): string =>
  JSON.stringify({
    kind: 'Node',
    apiVersion: API_VERSION,
    metadata: { name },
    spec: { bgp: { ipv4Address, ipv4IPIPTunnelAddr: TUNNEL }, orchRefs: [] },
  });

function open({
  env = {},
  mayShare = false,
}: {
  env?: Record<string, string>;
  mayShare?: boolean;
}) {
  const store = memoryStore();
  const kernel = memoryKernel();
  const eth0 = kernel.addLink({ name: 'eth0', mtu: 1500, up: true });
  const change = (kind: 'addAddress' | 'deleteAddress', address: string) =>
    kernel.apply([{ kind, linkIndex: eth0.index, ip: ip(address), prefixLength: 24 }]);
  change('addAddress', '10.0.0.1');
  store.put(NODE, nodeText('n1', '10.0.0.1/24'));
  const plan = planAddress(env, 4);
  assert.ok(plan.ok);
  let moves = 0;
  const watch = new AddressWatch(
    {
      ...{ store, kernel, kubernetes: undefined, clock: systemClock, signal: stop.signal },
      log: pino({ level: 'silent' }),
      retryMilliseconds: 5,
    },
    {
      node: 'n1',
      kubernetesNode: 'n1',
      nodeAddress: parseInterfaceAddress('10.0.0.1/24')!,
      plan: plan.value,
      mayShare,
    },
    () => {
      moves++;
    },
  );
  const stored = async (): Promise<unknown> =>
    (JSON.parse((await store.get(NODE))!.value) as { spec: { bgp: object } }).spec.bgp;
  return { store, kernel, watch, change, stored, moves: () => moves };
}

test('an address that went: the new one goes into the record, the rest of it stays', async () => {
  const { watch, change, stored, moves } = open({});
  change('deleteAddress', '10.0.0.1');
  change('addAddress', '10.0.0.9');
  watch.wake();
  await eventually('it moves', () => moves() === 1);
  assert.equal(watch.current?.ip, '10.0.0.9');
  const bgp = { ipv4Address: '10.0.0.9/24', ipv4IPIPTunnelAddr: TUNNEL };
  assert.deepEqual(await stored(), bgp);
  assert.equal(watch.problem, undefined);
});

test('one more address moves only a node that detects at every look', async () => {
  const { watch, kernel } = open({});
  const eth1 = { name: 'eth1', mtu: 1500, up: true };
  const second = { ip: ip('10.9.0.1'), prefixLength: 24, scope: 'global' } as const;
  kernel.addLink(eth1, [second]);
  watch.wake();
  await eventually('it has looked', () => !watch['working']);
  assert.equal(watch.current?.ip, '10.0.0.1');
  const other = open({ env: { IP: 'autodetect' } });
  other.kernel.addLink(eth1, [second]);
  other.watch.wake();
  await eventually('it moves', () => other.moves() === 1);
  assert.equal(other.watch.current?.ip, '10.9.0.1');
});

test('no address left: the old one stays, and is told of until one is there', async () => {
  const { watch, change, stored } = open({});
  change('deleteAddress', '10.0.0.1');
  watch.wake();
  await eventually('it is told', () => watch.warning !== undefined);
  assert.match(watch.warning!, /first-found finds no IPv4 address/);
  assert.deepEqual([watch.current?.ip, watch.problem], ['10.0.0.1', undefined]);
  change('addAddress', '10.0.0.1');
  watch.wake();
  await eventually('it is well', () => watch.warning === undefined);
  assert.deepEqual((await stored()) as object, {
    ipv4Address: '10.0.0.1/24',
    ipv4IPIPTunnelAddr: TUNNEL,
  });
});

test('an address that another node has is not taken, unless nodes may share', async () => {
  const { store, watch, change, moves } = open({});
  store.put(resourceKey('nodes', 'n2'), nodeText('n2', '10.0.0.9/24'));
  change('deleteAddress', '10.0.0.1');
  change('addAddress', '10.0.0.9');
  watch.wake();
  await eventually('it is told', () => watch.problem !== undefined);
  assert.equal(watch.problem, "Calico node 'n2' is already using the IPv4 address 10.0.0.9.");
  assert.deepEqual([watch.current?.ip, moves()], ['10.0.0.1', 0]);
  store.delete(resourceKey('nodes', 'n2'));
  watch.wake();
  await eventually('it moves', () => moves() === 1);
  assert.equal(watch.problem, undefined);
  const sharing = open({ mayShare: true });
  sharing.store.put(resourceKey('nodes', 'n2'), nodeText('n2', '10.0.0.9/24'));
  sharing.change('deleteAddress', '10.0.0.1');
  sharing.change('addAddress', '10.0.0.9');
  sharing.watch.wake();
  await eventually('it moves', () => sharing.moves() === 1);
});

test('IPv6: its own field follows; an address that another node has is not taken', async () => {
  const { store, kernel } = open({});
  const eth0 = kernel.link('eth0');
  const change = (kind: 'addAddress' | 'deleteAddress', address: string) =>
    kernel.apply([{ kind, linkIndex: eth0!.index, ip: ip(address), prefixLength: 64 }]);
  change('addAddress', 'fd00::2');
  const plan = planAddress({ IP6: 'autodetect' }, 6);
  assert.ok(plan.ok);
  const parts = { store, kernel, kubernetes: undefined, clock: systemClock, signal: stop.signal };
  const nodeAddress = parseInterfaceAddress('fd00::1/64')!;
  const started = { node: 'n1', kubernetesNode: 'n1', nodeAddress, mayShare: false };
  let moves = 0;
  const watch = new AddressWatch(
    { ...parts, log: pino({ level: 'silent' }), retryMilliseconds: 5 },
    { ...started, plan: plan.value },
    () => void moves++,
  );
  watch.wake();
  await eventually('it moves', () => moves === 1);
  const { spec } = JSON.parse((await store.get(NODE))!.value) as { spec: NodeSpec };
  assert.deepEqual([spec.bgp?.ipv4Address, spec.bgp?.ipv6Address], ['10.0.0.1/24', 'fd00::2/64']);
  const other = { bgp: { ipv6Address: 'fd00::3/64' } };
  const node = { kind: 'Node', apiVersion: API_VERSION, metadata: { name: 'n2' }, spec: other };
  store.put(resourceKey('nodes', 'n2'), JSON.stringify(node));
  change('deleteAddress', 'fd00::2');
  change('addAddress', 'fd00::3');
  watch.wake();
  await eventually('it is told', () => watch.problem !== undefined);
  assert.equal(watch.problem, "Calico node 'n2' is already using the IPv6 address fd00::3.");
  assert.equal(watch.current?.ip, 'fd00::2');
});

test('an outage of the datastore is waited for; nobody hears of an address that is not stored', async () => {
  const { store, watch, change, moves } = open({});
  change('deleteAddress', '10.0.0.1');
  change('addAddress', '10.0.0.9');
  store.failNext('list');
  store.failNext('transaction');
  watch.wake();
  await eventually('it moves', () => moves() === 1);
  assert.equal(watch.current?.ip, '10.0.0.9');
});

test('interfaces are heard: quiet first, pods’ left out, and a look from time to time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  const kernel = memoryKernel();
  const heard: string[] = [];
  watchHost({
    kernel,
    signal: stop.signal,
    pollMilliseconds: 60_000,
    addresses: () => void heard.push('addresses'),
    links: () => void heard.push('links'),
  });
  const eth0 = kernel.addLink({ name: 'eth0', mtu: 1500, up: true });
  kernel.addNetns('/pod');
  await kernel.addVeth({ name: 'cali1', peer: 'eth0', peerNetns: '/pod', mtu: 1500 });
  kernel.apply([
    { kind: 'addAddress', linkIndex: eth0.index, ip: ip('10.0.0.9'), prefixLength: 24 },
  ]);
  await Promise.resolve();
  t.mock.timers.tick(900);
  assert.deepEqual(heard, []);
  kernel.apply([{ kind: 'setLink', index: eth0.index, mtu: 1400 }]);
  await Promise.resolve();
  t.mock.timers.tick(999);
  assert.deepEqual(heard, []);
  t.mock.timers.tick(1);
  assert.deepEqual(heard.toSorted(), ['addresses', 'links']);
  t.mock.timers.tick(60_000);
  assert.deepEqual(heard.toSorted(), ['addresses', 'addresses', 'links', 'links']);
  stop.abort();
  t.mock.timers.tick(60_000);
  assert.equal(heard.length, 4);
});
