import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { strictProblems } from '../../../test/golden/strict-types.ts';
import { eventually } from '../../../test/lab/command.ts';
import { openLog } from '../../base/log.io.ts';
import type { PeerReport, RouteReport, SpeakerReport } from '../../bgp/status.ts';
import { memoryStore } from '../../datastore/memory.ts';
import { resourceKey, resourcePrefix } from '../../model/keys.ts';
import { parseAsn } from '../../net/asn.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { NodeStatuses } from './node-statuses.io.ts';

const NO_MESSAGES = { open: 0, update: 0, notification: 0, keepalive: 0, refresh: 0 };
const since = '2026-11-30T08:00:00.000Z';
const peer = (more: Partial<PeerReport>): PeerReport => ({
  ...{ name: 'Mesh_10_0_0_2', type: 'node-to-node mesh', address: ip('10.0.0.2'), port: 179 },
  ...{ family: 4, asn: parseAsn(64512)!, localAsn: parseAsn(64512)!, passive: true, since },
  ...{ state: 'established', flaps: 0, prefixesIn: 1, prefixesOut: 1 },
  messages: { received: NO_MESSAGES, sent: NO_MESSAGES },
  ...more,
});
const path = (more: object): RouteReport['paths'][number] => ({
  ...{ asPath: '', origin: 'igp', localPref: 100, communities: [], stale: false, rank: 'best' },
  ...more,
});
const REPORT: SpeakerReport = {
  node: 'a',
  peers: [
    peer({}),
    peer({
      name: 'Node_10_0_0_3',
      type: 'node specific',
      address: ip('10.0.0.3'),
      state: 'active',
    }),
    peer({ name: 'Global_fd00__3', type: 'global', address: ip('fd00::3'), family: 6 }),
  ],
  routeProblems: [],
  problems: [],
};
const ROUTES: readonly RouteReport[] = [
  { prefix: cidr('192.168.1.0/26'), paths: [path({})] },
  {
    prefix: cidr('192.168.2.0/26'),
    paths: [
      path({ peer: 'Mesh_10_0_0_2', nextHop: ip('10.0.0.2') }),
      path({ peer: 'Node_10_0_0_3', nextHop: ip('10.0.0.3'), rank: 'worse' }),
      path({ peer: 'Node_10_0_0_3', nextHop: ip('10.0.0.3'), rank: 'unusable' }),
    ],
  },
  { prefix: cidr('fd80::/122'), paths: [path({ peer: 'Global_fd00__3', nextHop: ip('fd00::3') })] },
];

const METADATA = {
  uid: '00000000-0000-4000-8000-000000000000',
  creationTimestamp: '2026-11-22T00:00:00Z',
  labels: { kept: 'yes' },
};

function world(t: TestContext) {
  const store = memoryStore();
  let minutes = 0;
  const statuses = new NodeStatuses({
    store,
    log: openLog('test', 'fatal'),
    clock: { now: () => 0, date: () => new Date(Date.UTC(2026, 10, 30, 9, minutes++)) },
    speaker: {
      report: REPORT,
      routes: () => ROUTES,
      identity: { asn: parseAsn(64512)!, routerId: ip('10.0.0.1'), addresses: [] },
      health: { ready: true, problems: [] },
    },
  });
  t.after(() => statuses.close());
  const ask = (name: string, spec: object): void =>
    store.put(
      resourceKey('caliconodestatuses', name),
      JSON.stringify({
        ...{ kind: 'CalicoNodeStatus', apiVersion: 'projectcalico.org/v3' },
        ...{ metadata: { name, ...METADATA }, spec },
      }),
    );
  const stored = async (name: string) => {
    const item = await store.get(resourceKey('caliconodestatuses', name));
    return JSON.parse(item!.value) as { metadata: object; status?: Record<string, unknown> };
  };
  return { store, ask, stored };
}

const ALL = { node: 'a', classes: ['Agent', 'BGP', 'Routes'], updatePeriodSeconds: 3600 };

test('CalicoNodeStatus: daemons, peers and routes in the words of Calico’s API', async (t) => {
  const { store, ask, stored } = world(t);
  ask('mine', ALL);
  const status = await eventually('it is written', async () => (await stored('mine')).status);
  const daemon = (state: string) => ({
    ...{ state, version: 'calico-kit', routerID: '10.0.0.1', lastBootTime: '2026-11-30T09:00:00Z' },
  });
  assert.deepEqual((await stored('mine')).metadata, { name: 'mine', ...METADATA });
  const { items } = await store.list(resourcePrefix('caliconodestatuses'));
  assert.deepEqual(strictProblems(items), [], 'a strict reader of Calico’s types');
  assert.deepEqual(status, {
    lastUpdated: '2026-11-30T09:01:00Z',
    agent: { birdV4: daemon('Ready'), birdV6: daemon('Ready') },
    bgp: {
      ...{ numberEstablishedV4: 1, numberNotEstablishedV4: 1 },
      ...{ numberEstablishedV6: 1, numberNotEstablishedV6: 0 },
      peersV4: [
        { peerIP: '10.0.0.2', type: 'NodeMesh', state: 'Established', since },
        { peerIP: '10.0.0.3', type: 'NodePeer', state: 'Active', since },
      ],
      peersV6: [{ peerIP: 'fd00::3', type: 'GlobalPeer', state: 'Established', since }],
    },
    routes: {
      routesV4: [
        { type: 'FIB', destination: '192.168.1.0/26', learnedFrom: { sourceType: 'Static' } },
        {
          ...{ type: 'FIB', destination: '192.168.2.0/26', gateway: '10.0.0.2' },
          learnedFrom: { sourceType: 'NodeMesh', peerIP: '10.0.0.2' },
        },
        {
          ...{ type: 'RIB', destination: '192.168.2.0/26', gateway: '10.0.0.3' },
          learnedFrom: { sourceType: 'BGPPeer', peerIP: '10.0.0.3' },
        },
      ],
      routesV6: [
        {
          ...{ type: 'FIB', destination: 'fd80::/122', gateway: 'fd00::3' },
          learnedFrom: { sourceType: 'BGPPeer', peerIP: 'fd00::3' },
        },
      ],
    },
  });
});

test('CalicoNodeStatus: only what is asked for, as often as asked; of other nodes nothing', async (t) => {
  const { store, ask, stored } = world(t);
  ask('other', { ...ALL, node: 'b' });
  ask('never', { ...ALL, updatePeriodSeconds: 0 });
  ask('damaged', { ...ALL, classes: ['All'] });
  ask('often', { ...ALL, classes: ['BGP'], updatePeriodSeconds: 1 });
  const first = await eventually('the first', async () => (await stored('often')).status);
  assert.deepEqual([first['agent'], first['routes']], [{ birdV4: {}, birdV6: {} }, {}]);
  const often = await store.get(resourceKey('caliconodestatuses', 'often'));
  assert.deepEqual(strictProblems([often!]), []);
  const again = async () =>
    (await stored('often')).status?.['lastUpdated'] !== first['lastUpdated'];
  await eventually('the next', again, 3000);
  ask('often', { ...ALL, classes: [] });
  const last = await eventually('another wish at once', async () => {
    const { status } = await stored('often');
    return (status?.['bgp'] as { numberEstablishedV4?: number })?.numberEstablishedV4 === 0;
  });
  assert.ok(last);
  for (const name of ['other', 'never', 'damaged'])
    assert.equal((await stored(name)).status, undefined, name);
  store.delete(resourceKey('caliconodestatuses', 'often'));
});
