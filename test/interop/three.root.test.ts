// FRR and GoBGP in our AS: communities both ways, route refresh, and reflection with each of the three
// as the reflector of the other two (RFC 4456).
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lab/command.ts';
import { FRR, GOBGP, OURS, ROUTES, type Seen, ThreeHosts } from './three-hosts.ts';
import { OUR_BLOCK } from './two-hosts.ts';

const OUR_COMMUNITIES = { standard: ['64512:100'], large: ['64512:0:5'] };
const marks = {
  communities: [{ name: 'pods', value: '64512:100' }],
  prefixAdvertisements: [{ cidr: '192.168.0.0/16', communities: ['pods', '64512:0:5'] }],
};
const blackhole = `blackhole ${OUR_BLOCK}`;
const via = { frr: `${ROUTES.frr.prefix} via ${FRR} dev eth0` } as const;
const viaGobgp = `${ROUTES.gobgp.prefix} via ${GOBGP} dev eth0`;
const told = (nextHop: string, more: Partial<Seen> = {}): Seen => ({
  nextHop,
  ...{ originator: undefined, clusters: [], standard: [], large: [] },
  ...more,
});
const marked = (who: keyof typeof ROUTES) => ({
  standard: [ROUTES[who].standard],
  large: [ROUTES[who].large],
});

async function bothUp(hosts: ThreeHosts): Promise<void> {
  const up = async () =>
    (await hosts.state()).peers.filter(({ state }) => state === 'established').length === 2;
  await eventually('both sessions', up, 30_000);
}

describe('we reflect for FRR and GoBGP', { timeout: 120_000 }, () => {
  const CLUSTER = '1.0.0.1';
  let hosts: ThreeHosts;
  before(async () => {
    hosts = new ThreeHosts();
    hosts.ourNode(CLUSTER);
    hosts.configure(marks);
    hosts.peerWith('frr', FRR);
    hosts.peerWith('gobgp', GOBGP);
    hosts.startFrr();
    hosts.startGobgp();
    hosts.startSpeaker();
    await bothUp(hosts);
    hosts.gobgpAnnounces();
  });
  after(() => hosts?.close());

  test('both routes are in our kernel by the clients themselves, with their communities in our table', async () => {
    await hosts.routesAre([blackhole, via.frr, viaGobgp]);
    const table = await hosts.table();
    for (const { prefix, standard, large } of Object.values(ROUTES))
      assert.deepEqual(table.find((route) => route.prefix === prefix)?.paths[0]?.communities, [
        standard,
        large,
      ]);
  });

  test('each client hears the other: next hop and communities as they were, who said it and by whom', async () => {
    const [toFrr, toGobgp] = [ROUTES.gobgp.prefix, ROUTES.frr.prefix];
    assert.deepEqual(
      await eventually('FRR hears of GoBGP', () => hosts.seenByFrr(toFrr)),
      told(GOBGP, { originator: GOBGP, clusters: [CLUSTER], ...marked('gobgp') }),
    );
    assert.deepEqual(
      await eventually('GoBGP hears of FRR', () => hosts.seenByGobgp(toGobgp)),
      told(FRR, { originator: FRR, clusters: [CLUSTER], ...marked('frr') }),
    );
  });

  test('ours: communities of prefixAdvertisements, and no mark of reflection', async () => {
    const ours = told(OURS, OUR_COMMUNITIES);
    assert.deepEqual(await eventually('FRR', () => hosts.seenByFrr(OUR_BLOCK)), ours);
    assert.deepEqual(await eventually('GoBGP', () => hosts.seenByGobgp(OUR_BLOCK)), ours);
  });

  const refreshes = async (address: string) =>
    (await hosts.state()).peers.find((peer) => peer.address === address)?.refreshes;

  test('FRR asks again: all is told between a begin and an end (RFC 7313)', async () => {
    hosts.vtysh(`clear bgp ${OURS} soft in`);
    await eventually('answered', async () => (await refreshes(FRR))?.sent === 2);
    const neighbour = () => hosts.vtysh(`show bgp neighbors ${OURS}`);
    assert.match(neighbour(), /Enhanced Route Refresh: advertised and received/i);
    await eventually('FRR has all', () => hosts.seenByFrr(ROUTES.gobgp.prefix));
    assert(hosts.seenByFrr(OUR_BLOCK));
    await bothUp(hosts);
  });

  for (const kind of ['standard', 'large'] as const)
    test(`a filter on a ${kind} community: the route goes, for us and the other client, and comes back`, async () => {
      const match = { communities: { values: [ROUTES.frr[kind]] } };
      hosts.putResource('bgpfilters', 'BGPFilter', 'marked', {
        importV4: [{ ...match, action: 'Reject' }],
      });
      for (const [name, address] of [
        ['frr', FRR],
        ['gobgp', GOBGP],
      ] as const)
        hosts.peerWith(name, address, { filters: ['marked'] });
      await hosts.routesAre([blackhole, viaGobgp]);
      await eventually('withdrawn', () => !hosts.seenByGobgp(ROUTES.frr.prefix));
      for (const [name, address] of [
        ['frr', FRR],
        ['gobgp', GOBGP],
      ] as const)
        hosts.peerWith(name, address);
      await hosts.routesAre([blackhole, via.frr, viaGobgp]);
      await eventually('told again', () => hosts.seenByGobgp(ROUTES.frr.prefix));
    });
});

describe('FRR reflects between GoBGP and us', { timeout: 120_000 }, () => {
  const CLUSTER = '2.0.0.2';
  let hosts: ThreeHosts;
  before(async () => {
    hosts = new ThreeHosts();
    hosts.ourNode();
    hosts.configure(marks);
    hosts.peerWith('frr', FRR);
    hosts.startFrr({ clusterId: CLUSTER, clients: [GOBGP] });
    hosts.startGobgp({ clusterId: '9.9.9.9', clients: [FRR] });
    hosts.startSpeaker();
    await hosts.established(30_000);
    hosts.gobgpAnnounces();
  });
  after(() => hosts?.close());

  test('the route of GoBGP is in our kernel by way of GoBGP, and comes through one session', async () => {
    await hosts.routesAre([blackhole, via.frr, viaGobgp]);
    const table = await hosts.table();
    const [path] = table.find(({ prefix }) => prefix === ROUTES.gobgp.prefix)?.paths ?? [];
    assert.deepEqual(path?.communities, [ROUTES.gobgp.standard, ROUTES.gobgp.large]);
    assert.equal(path?.peer, `Node_${FRR.replaceAll('.', '_')}`);
  });

  test('ours is with GoBGP: our next hop and communities, our router id as originator', async () => {
    const seen = await eventually('GoBGP', () => hosts.seenByGobgp(OUR_BLOCK));
    assert.deepEqual(
      seen,
      told(OURS, { originator: OURS, clusters: [CLUSTER], ...OUR_COMMUNITIES }),
    );
  });
});

describe('GoBGP reflects between FRR and us', { timeout: 120_000 }, () => {
  const CLUSTER = '3.0.0.3';
  let hosts: ThreeHosts;
  before(async () => {
    hosts = new ThreeHosts();
    hosts.ourNode();
    hosts.peerWith('gobgp', GOBGP);
    hosts.startFrr({ clusterId: '9.9.9.9', clients: [GOBGP] });
    hosts.startGobgp({ clusterId: CLUSTER, clients: [FRR] });
    hosts.startSpeaker();
    await hosts.established(30_000);
  });
  after(() => hosts?.close());

  test('routes both ways through the reflector', async () => {
    await hosts.routesAre([blackhole, via.frr]);
    const seen = await eventually('FRR', () => hosts.seenByFrr(OUR_BLOCK));
    assert.deepEqual(seen, told(OURS, { originator: OURS, clusters: [CLUSTER] }));
  });
});
