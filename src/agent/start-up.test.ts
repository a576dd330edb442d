// Start-up against the memory twins; state files in a temporary folder.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Log } from '../base/log.io.ts';
import { type MemoryStore, memoryStore } from '../datastore/memory.ts';
import { memoryKernel } from '../kernel/memory.ts';
import { resourceKey } from '../model/keys.ts';
import { ip } from '../net/ip.ts';
import { type StartUpParts, startUp } from './start-up.io.ts';

const NODES = '/calico/resources/v3/projectcalico.org/nodes/';
const POOL = resourceKey('ippools', 'default-ipv4-ippool');
const clock = { now: () => 0, date: () => new Date('2026-11-22T01:02:03.456Z') };

let stateFolder: string;
let store: MemoryStore;
let warnings: string[];
beforeEach(() => {
  stateFolder = mkdtempSync(join(tmpdir(), 'calico-kit-start-'));
  store = memoryStore();
  warnings = [];
});
afterEach(() => rmSync(stateFolder, { recursive: true, force: true }));

const log = {
  info: () => {},
  warn: (...said: readonly (string | object)[]) => void warnings.push(String(said.at(-1))),
} as unknown as Log;

function parts(env: Record<string, string>, address = '10.0.2.6'): StartUpParts {
  const kernel = memoryKernel();
  const at = { ip: ip(address), prefixLength: 24, scope: 'global' as const };
  kernel.addLink({ name: 'eth0', mtu: 1500, up: true }, [at]);
  const { signal } = new AbortController();
  const given = { store, kernel, kubernetes: undefined, env, clock, log, signal };
  return { ...given, stateFolder, retryMilliseconds: 1 };
}

const storedAt = async (key: string): Promise<Record<string, unknown>> =>
  JSON.parse((await store.get(key))?.value ?? '{}') as Record<string, unknown>;
const specOf = async (key: string): Promise<unknown> => (await storedAt(key))['spec'];
const withoutUid = (value: Record<string, unknown>): unknown => {
  const { uid, ...metadata } = value['metadata'] as Record<string, unknown>;
  assert.match(String(uid), /^[0-9a-f-]{36}$/);
  return { ...value, metadata };
};

const ENV = { NODENAME: 'n1', CLUSTER_TYPE: 'k8s,bgp' };

describe('an empty datastore', () => {
  test('gets the node, the pool and the records of every cluster', async () => {
    const started = await startUp(parts({ ...ENV, CALICO_IPV4POOL_IPIP: 'Never' }));
    assert.equal(started.node, 'n1');
    assert.deepEqual(started.nodeAddress, { ip: '10.0.2.6', prefixLength: 24 });
    assert.deepEqual(withoutUid(await storedAt(`${NODES}n1`)), {
      kind: 'Node',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'n1', creationTimestamp: '2026-11-22T01:02:03Z' },
      spec: {
        bgp: { ipv4Address: '10.0.2.6/24' },
        orchRefs: [{ nodeName: 'n1', orchestrator: 'k8s' }],
      },
      status: {},
    });
    assert.deepEqual(await specOf(POOL), {
      cidr: '192.168.0.0/16',
      vxlanMode: 'Never',
      ipipMode: 'Never',
      natOutgoing: true,
      blockSize: 26,
      nodeSelector: 'all()',
      allowedUses: ['Workload', 'Tunnel'],
      assignmentMode: 'Automatic',
    });
    const info = (await specOf(resourceKey('clusterinformations', 'default'))) as {
      clusterGUID: string;
    };
    assert.match(info.clusterGUID, /^[0-9a-f]{32}$/);
    const { clusterGUID: _, ...rest } = info;
    assert.deepEqual(rest, { clusterType: 'k8s,bgp', datastoreReady: true });
    assert.deepEqual(withoutUid(await storedAt(resourceKey('tiers', 'default'))), {
      kind: 'Tier',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'default', creationTimestamp: '2026-11-22T01:02:03Z' },
      spec: { order: 1000000, defaultAction: 'Deny' },
      status: {},
    });
    assert.deepEqual(await specOf(resourceKey('felixconfigurations', 'node.n1')), {
      defaultEndpointToHostAction: 'Return',
    });
    assert.deepEqual(await specOf(resourceKey('bgpconfigurations', 'default')), {});
    assert.deepEqual(await storedAt('/calico/ipam/v2/config'), { auto_allocate_blocks: true });
    assert.equal(readFileSync(join(stateFolder, 'nodename'), 'utf8'), 'n1');
  });

  test('a second start writes nothing', async () => {
    await startUp(parts(ENV));
    const before = await store.list('/calico/');
    await startUp(parts(ENV));
    assert.deepEqual(await store.list('/calico/'), before);
  });

  test('two nodes at once agree on one pool and one cluster', async () => {
    await Promise.all([
      startUp(parts(ENV)),
      startUp(parts({ ...ENV, NODENAME: 'n2' }, '10.0.2.7')),
    ]);
    const { items } = await store.list(NODES);
    assert.deepEqual(
      items.map(({ key }) => key),
      [`${NODES}n1`, `${NODES}n2`],
    );
  });
});

describe('what is there stays', () => {
  const put = (key: string, kind: string, name: string, spec: object): void =>
    store.put(
      key,
      JSON.stringify({ kind, apiVersion: 'projectcalico.org/v3', metadata: { name }, spec }),
    );

  test('a locked datastore stays locked, missing fields are filled', async () => {
    const key = resourceKey('clusterinformations', 'default');
    put(key, 'ClusterInformation', 'default', { datastoreReady: false, clusterGUID: 'abc' });
    await startUp(parts(ENV));
    const spec = { datastoreReady: false, clusterGUID: 'abc', clusterType: 'k8s,bgp' };
    assert.deepEqual(await specOf(key), spec);
  });

  test('no default pool beside an IPv4 pool; an IPv6 pool does not count', async () => {
    put(resourceKey('ippools', 'six'), 'IPPool', 'six', { cidr: 'fd00::/64' });
    await startUp(parts(ENV));
    assert.ok(await store.get(POOL));
    store.delete(POOL);
    put(resourceKey('ippools', 'mine'), 'IPPool', 'mine', { cidr: '10.99.0.0/16' });
    await startUp(parts(ENV));
    assert.equal(await store.get(POOL), undefined);
  });

  test('an address that another node has ends the start, and is cleared if detected', async () => {
    put(`${NODES}n2`, 'Node', 'n2', { bgp: { ipv4Address: '10.0.2.6/16' } });
    put(`${NODES}n1`, 'Node', 'n1', { bgp: { ipv4Address: '10.0.2.9/24', asNumber: 65001 } });
    const taken = { message: "Calico node 'n2' is already using the IPv4 address 10.0.2.6." };
    await assert.rejects(startUp(parts(ENV)), taken);
    const spec = (await specOf(`${NODES}n1`)) as { bgp: object };
    assert.deepEqual(spec.bgp, { asNumber: 65001 });
    await startUp(parts({ ...ENV, DISABLE_NODE_IP_CHECK: 'true' }));
  });
});

describe('IPv6', () => {
  const both = (env: Record<string, string>): StartUpParts => {
    const made = parts({ ...ENV, ...env });
    const { index: linkIndex } = made.kernel.link('eth0')!;
    const six = { ip: ip('fd00::6'), prefixLength: 64 } as const;
    made.kernel.apply([{ kind: 'addAddress', linkIndex, ...six }]);
    return made;
  };
  const bgpOf = async (name: string) => ((await specOf(`${NODES}${name}`)) as { bgp: object }).bgp;

  test('IP6=autodetect puts it beside the other; without, what somebody wrote stays', async () => {
    const written = { ipv4Address: '10.0.2.6/24', ipv6Address: 'fd00::6/64' };
    const started = await startUp(both({ IP6: 'autodetect' }));
    assert.deepEqual(started.ipv6.nodeAddress, { ip: 'fd00::6', prefixLength: 64 });
    assert.deepEqual(await bgpOf('n1'), written);
    await startUp(both({}));
    assert.deepEqual(await bgpOf('n1'), written);
    await startUp(both({ IP6: 'none' }));
    assert.deepEqual(await bgpOf('n1'), { ipv4Address: '10.0.2.6/24' });
  });

  test('an IPv6 address that another node has ends the start, and is cleared if detected', async () => {
    await startUp(both({ IP6: 'autodetect' }));
    const taken = { message: "Calico node 'n1' is already using the IPv6 address fd00::6." };
    const second = { NODENAME: 'n2', IP: '10.0.2.9', IP6: 'autodetect' };
    await assert.rejects(startUp(both(second)), taken);
    await startUp(both({ ...second, IP6: 'fd00::9' }));
    assert.deepEqual(await bgpOf('n2'), { ipv4Address: '10.0.2.9/32', ipv6Address: 'fd00::9/128' });
    await assert.rejects(startUp(both(second)), taken);
    assert.deepEqual(await bgpOf('n2'), { ipv4Address: '10.0.2.9/32' });
  });
});

test('a node without a speaker says so, and no longer once it has one', async () => {
  const metadata = async () =>
    (await storedAt(`${NODES}n1`))['metadata'] as { annotations?: Record<string, string> };
  await startUp(parts({ ...ENV, CALICO_NETWORKING_BACKEND: 'vxlan' }));
  assert.deepEqual((await metadata()).annotations, { 'calico-kit.io/networking-backend': 'vxlan' });
  await startUp(parts({ ...ENV, CALICO_NETWORKING_BACKEND: 'bird' }));
  assert.equal((await metadata()).annotations, undefined);
});

describe('failures', () => {
  test('an outage is waited for, a lost reply is not a second write', async () => {
    for (const operation of ['list', 'get', 'transaction'] as const) store.failNext(operation);
    store.failNext('transaction', 'lostReply');
    await startUp(parts(ENV));
    assert.ok(warnings.some((text) => /waiting for the datastore/.test(text)));
    assert.equal((await store.list(NODES)).items.length, 1);
  });

  test('what cannot be used is told', async () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ NODENAME: 'N_1' }, /NODENAME: 'N_1' must be lower-case/],
      [{ ...ENV, IP_AUTODETECTION_METHOD: 'guess' }, /'guess' is no known method/],
      [{ ...ENV, IP_AUTODETECTION_METHOD: 'interface=eth9' }, /finds no IPv4 address/],
      [{ ...ENV, CALICO_IPV4POOL_CIDR: 'x' }, /CALICO_IPV4POOL_CIDR: 'x'/],
    ];
    for (const [env, message] of cases) await assert.rejects(startUp(parts(env)), { message });
  });
});

test('the name: NODENAME, then the earlier start’s, then HOSTNAME', async () => {
  assert.equal((await startUp(parts({ HOSTNAME: 'Host-A' }))).node, 'host-a');
  writeFileSync(join(stateFolder, 'nodename'), 'earlier\n');
  assert.equal((await startUp(parts({ HOSTNAME: 'Host-A', IP: 'none' }))).node, 'earlier');
});
