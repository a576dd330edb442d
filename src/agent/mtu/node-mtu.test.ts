// The node's MTU over the memory twins: file, Node record, event, and what makes it look again.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import pino from 'pino';
import { eventually } from '../../../test/lab/command.ts';
import { systemClock } from '../../base/clock.io.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { memoryKernel } from '../../kernel/memory.ts';
import { memoryKubernetes } from '../../kubernetes/memory.ts';
import type { FelixConfigurationSpec } from '../../model/felix-configuration.ts';
import type { IpPool, IpPoolSpec } from '../../model/ip-pool.ts';
import { resourceKey } from '../../model/keys.ts';
import { type NodeSpec, nodeMtuOf } from '../../model/node.ts';
import { API_VERSION, parseResource } from '../../model/resource.ts';
import { NodeMtu } from './node-mtu.io.ts';

const NODE = resourceKey('nodes', 'n1');
let stateFolder: string;
let stop: AbortController;
beforeEach(() => {
  stateFolder = mkdtempSync(join(tmpdir(), 'calico-kit-mtu-'));
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  rmSync(stateFolder, { recursive: true, force: true });
});

const pool = (spec: Partial<IpPoolSpec>): IpPool => ({
  kind: 'IPPool',
  apiVersion: API_VERSION,
  metadata: { name: 'p' },
  spec: { cidr: '192.168.0.0/16', ...spec },
});

function open(asked?: number) {
  const store = memoryStore();
  const kernel = memoryKernel();
  const kubernetes = memoryKubernetes();
  const eth0 = kernel.addLink({ name: 'eth0', mtu: 1500, up: true });
  const annotations = { mine: 'stays' };
  store.put(
    NODE,
    JSON.stringify({
      kind: 'Node',
      apiVersion: API_VERSION,
      metadata: { name: 'n1', annotations },
      spec: { bgp: { asNumber: 65001 } },
    }),
  );
  const world = {
    store,
    kernel,
    kubernetes,
    pools: [pool({ ipipMode: 'Always' })] as readonly IpPool[],
    felix: {} as FelixConfigurationSpec,
    hostChanges: 0,
    resize: (mtu: number) => kernel.apply([{ kind: 'setLink', index: eth0.index, mtu }]),
    file: () => readFileSync(join(stateFolder, 'mtu'), 'utf8'),
    record: async () => {
      const node = parseResource<'Node', NodeSpec>('Node', (await store.get(NODE))!.value);
      assert.ok(node.ok);
      return { ...nodeMtuOf(node.value), mine: node.value.metadata.annotations?.['mine'] };
    },
  };
  const mtu = new NodeMtu({
    node: 'n1',
    kubernetesNode: 'k1',
    settings: { asked, tunnels: {}, pattern: undefined },
    ...{ store, kernel, kubernetes, clock: systemClock, log: pino({ level: 'silent' }) },
    signal: stop.signal,
    pools: () => world.pools,
    felix: () => world.felix,
    nodeAddress: () => undefined,
    hostChanged: () => {
      world.hostChanges++;
    },
    stateFolder,
    retryMilliseconds: 5,
  });
  return { mtu, world };
}

test('the file and the Node record say it; other annotations stay', async () => {
  const { mtu, world } = open();
  mtu.look();
  assert.equal(world.file(), '1480');
  assert.deepEqual(readdirSync(stateFolder), ['mtu']);
  const told = { host: 1500, interface: 'eth0', pods: 1480, mine: 'stays' };
  await eventually('the record', async () => (await world.record()).pods === 1480);
  assert.deepEqual(await world.record(), told);
  assert.deepEqual(world.kubernetes.warnings, []);
});

test('an interface, a pool or a setting changes: looked at anew', async () => {
  const { mtu, world } = open();
  mtu.look();
  world.pools = [...world.pools, pool({ cidr: '10.1.0.0/16', vxlanMode: 'CrossSubnet' })];
  mtu.look();
  assert.equal(world.file(), '1450');
  world.felix = { vxlanMTU: 1400 };
  mtu.look();
  assert.equal(world.file(), '1400');
  assert.equal(world.hostChanges, 0);
  world.resize(1440);
  mtu.look();
  assert.equal(world.file(), '1390');
  assert.equal(world.hostChanges, 1);
  await eventually('the record', async () => (await world.record()).pods === 1390);
});

test('a mismatch is an event, once, whenever it begins; it goes when it is mended', async () => {
  const { mtu, world } = open(1480);
  world.kubernetes.setUnreachable(true);
  mtu.look();
  assert.equal(mtu.state?.problem, undefined);
  world.resize(1400);
  mtu.look();
  const { problem } = mtu.state!;
  assert.match(problem!, /pods are meant to get an MTU of 1480, but eth0 carries 1400/);
  assert.equal(world.file(), '1380');
  world.kubernetes.setUnreachable(false);
  await eventually('the event', () => world.kubernetes.warnings.length > 0);
  mtu.look();
  assert.deepEqual(world.kubernetes.warnings, [
    { node: 'k1', reason: 'MTUMismatch', message: problem },
  ]);
  world.resize(1500);
  mtu.look();
  assert.equal(mtu.state?.problem, undefined);
  await eventually('the record', async () => (await world.record()).problem === undefined);
  world.resize(1400);
  mtu.look();
  await eventually('again', () => world.kubernetes.warnings.length === 2);
});

test('a lost reply, and a Node that somebody else writes meanwhile', async () => {
  const { mtu, world } = open();
  world.store.failNext('get');
  world.store.failNext('transaction', 'lostReply');
  mtu.look();
  await eventually('the record', async () => (await world.record()).pods === 1480);
});
