// Pools, peers, communities and policies of the settings, in the datastore.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { systemClock } from '../../base/clock.io.ts';
import { openLog } from '../../base/log.io.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { namespacedKey, resourceKey } from '../../model/keys.ts';
import { API_VERSION, printResource } from '../../model/resource.ts';
import { parseCidr } from '../../net/cidr.ts';
import { DatastoreMirror } from '../datastore-mirror.io.ts';
import { documentController } from './documents.io.ts';
import { documentWanted, OWNER, parseDocument, type SettingsDocument } from './documents.ts';

const settled = async (): Promise<void> => {
  for (let i = 0; i < 30; i++) await setImmediate();
};

const CLUSTER = { asNumber: 64512, podSubnet: parseCidr('192.168.0.0/16') };
const EMPTY: SettingsDocument = { ipv4: null, ipv6: null, policy: null, pools: null };
const apiVersion = 'projectcalico.org/v3';
const peer = (name: string, spec: object) => ({ metadata: { name }, spec });

const FULL: SettingsDocument = {
  ipv4: {
    peers: [
      peer('tor', { peerIP: '10.0.0.1', asNumber: 65000, node: 'n1' }),
      peer('other', { peerIP: '10.0.0.2:179', asNumber: 65000 }),
    ],
    community_cidr_ref: {
      blue: { cidr: '192.168.0.0/18', community: 100 },
      red: { cidr: '192.168.64.0/18', community: 7, prefix: 65001 },
    },
    port: { neighbor: 1790, listen: 1179 },
  },
  ipv6: { peers: [peer('six', { peerIP: 'fd00::1', asNumber: 65000 })], port: { neighbor: 1790 } },
  policy: {
    late: {
      priority: 2,
      rules: [
        {
          apiVersion,
          kind: 'NetworkPolicy',
          metadata: { name: 'web' },
          spec: { selector: 'a == "b"' },
        },
      ],
    },
    first: {
      priority: 1,
      rules: [
        { apiVersion, kind: 'Tier', metadata: { name: 'security' }, spec: { order: 5 } },
        {
          apiVersion,
          kind: 'GlobalNetworkSet',
          metadata: { name: 'bad' },
          spec: { nets: ['10.9.0.0/16'] },
        },
      ],
    },
  },
  pools: [{ name: 'second', cidr: '10.20.0.0/16', blockSize: 28, vxlanMode: 'CrossSubnet' }],
};

test('the settings as resources', () => {
  const { resources, bgp, problems } = documentWanted(FULL, CLUSTER);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    resources.map(({ key, spec }) => [key, spec]),
    [
      [
        resourceKey('ippools', 'second'),
        {
          cidr: '10.20.0.0/16',
          blockSize: 28,
          ipipMode: 'Never',
          vxlanMode: 'CrossSubnet',
          nodeSelector: 'all()',
          allowedUses: ['Workload', 'Tunnel'],
          assignmentMode: 'Automatic',
        },
      ],
      [resourceKey('bgppeers', 'tor'), { peerIP: '10.0.0.1:1790', asNumber: 65000, node: 'n1' }],
      [resourceKey('bgppeers', 'other'), { peerIP: '10.0.0.2:179', asNumber: 65000 }],
      [resourceKey('bgppeers', 'six'), { peerIP: '[fd00::1]:1790', asNumber: 65000 }],
      [resourceKey('tiers', 'security'), { order: 5 }],
      [resourceKey('globalnetworksets', 'bad'), { nets: ['10.9.0.0/16'] }],
      [namespacedKey('networkpolicies', 'default', 'web'), { selector: 'a == "b"' }],
    ],
  );
  assert.deepEqual(bgp, {
    listenPort: 1179,
    communities: [
      { name: 'blue', value: '64512:100' },
      { name: 'red', value: '65001:7' },
    ],
    prefixAdvertisements: [
      { cidr: '192.168.0.0/18', communities: ['blue'] },
      { cidr: '192.168.64.0/18', communities: ['red'] },
    ],
  });
  assert.deepEqual(resources.at(-1)?.metadata.annotations, {
    'projectcalico.org/metadata': '{"name":"web"}',
    [OWNER.name]: OWNER.value,
  });
});

const group = (...rules: object[]) => ({ g: { priority: 0, rules: rules as never } });
const WRONG: [what: string, document: Partial<SettingsDocument>, problem: RegExp][] = [
  [
    'a pool in another',
    { pools: [{ name: 'a', cidr: '192.168.4.0/24' }] },
    /^pool a: 192.168.4.0\/24 overlaps 192.168.0.0\/16$/,
  ],
  [
    'a peer without an address',
    { ipv4: { peers: [peer('a', { asNumber: 65000 })] } },
    /^BGPPeer a: /,
  ],
  [
    'two ports',
    { ipv4: { port: { listen: 1 } }, ipv6: { port: { listen: 2 } } },
    /^port.listen: 1 and 2;/,
  ],
  [
    'a selector that is none',
    {
      policy: group({
        apiVersion,
        kind: 'GlobalNetworkPolicy',
        metadata: { name: 'x' },
        spec: { selector: 'a =' },
      }),
    },
    /^policy.g: GlobalNetworkPolicy x: .*column/,
  ],
  [
    'an object twice',
    {
      policy: group(
        { apiVersion, kind: 'Tier', metadata: { name: 't' }, spec: {} },
        { apiVersion, kind: 'Tier', metadata: { name: 't' }, spec: {} },
      ),
    },
    /^policy.g: Tier t: is there twice$/,
  ],
];
for (const [what, document, problem] of WRONG) {
  test(`left out and named: ${what}`, () => {
    const { problems } = documentWanted({ ...EMPTY, ...document }, CLUSTER);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, problem);
  });
}

test('a community of an AS number with four octets needs a prefix', () => {
  const ipv4 = { community_cidr_ref: { blue: { cidr: '192.168.0.0/18', community: 100 } } };
  const wide = { ...CLUSTER, asNumber: 4_200_000_000 };
  const { bgp, problems } = documentWanted({ ...EMPTY, ipv4 }, wide);
  assert.deepEqual(bgp, {});
  assert.match(problems[0]!, /^community blue: the AS number 4200000000 has four octets/);
});

test('a document that is none', () => {
  for (const text of ['', '[]', '{']) assert.equal(parseDocument(text).ok, false);
  assert.deepEqual(parseDocument('{}'), { ok: true, value: EMPTY });
});

test('what leaves the settings goes; what others made stays; a pool is only disabled', async () => {
  const store = memoryStore();
  const log = openLog('test', 'fatal');
  const begin = async (document: SettingsDocument, problem?: RegExp) => {
    const stop = new AbortController();
    const mirror = new DatastoreMirror();
    const parts = { store, mirror, clock: systemClock, log, signal: stop.signal };
    const controller = documentController(parts, documentWanted(document, CLUSTER));
    mirror.follow(store, log, stop.signal);
    await settled();
    if (problem) assert.match(controller.problem!, problem);
    else assert.equal(controller.problem, undefined);
    return () => stop.abort();
  };
  const foreign = resourceKey('bgppeers', 'foreign');
  const metadata = { name: 'foreign' };
  store.put(
    foreign,
    printResource({ kind: 'BGPPeer', apiVersion: API_VERSION, metadata, spec: {} }),
  );
  const names = async () =>
    (await store.list('/calico/resources/')).items.map(({ key }) =>
      key.slice(key.lastIndexOf('/') + 1),
    );
  const stop = await begin(FULL);
  assert.deepEqual((await names()).sort(), [
    'bad',
    'foreign',
    'other',
    'second',
    'security',
    'six',
    'tor',
    'web',
  ]);
  // Somebody deletes one: it comes back.
  store.delete(resourceKey('bgppeers', 'tor'));
  await settled();
  assert.ok(await store.get(resourceKey('bgppeers', 'tor')));
  stop();
  const stopAgain = await begin({ ...EMPTY, ipv6: FULL.ipv6 });
  assert.deepEqual((await names()).sort(), ['foreign', 'second', 'six']);
  const pool = JSON.parse((await store.get(resourceKey('ippools', 'second')))!.value);
  assert.equal(pool.spec.disabled, true);
  stopAgain();
  const stopThird = await begin(FULL);
  const again = JSON.parse((await store.get(resourceKey('ippools', 'second')))!.value);
  assert.equal(again.spec.disabled, undefined);
  stopThird();
  // Its prefix cannot change under pods: that is told, and the pool stays.
  const moved = { ...EMPTY, pools: [{ name: 'second', cidr: '10.30.0.0/16', natOutgoing: true }] };
  await begin(moved, /^pool second keeps 10.20.0.0\/16: make another pool/);
  const kept = JSON.parse((await store.get(resourceKey('ippools', 'second')))!.value).spec;
  assert.deepEqual([kept.cidr, kept.blockSize, kept.natOutgoing], ['10.20.0.0/16', 28, true]);
});
