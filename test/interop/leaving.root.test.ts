// How a node goes: stopped for a restart it first asks its peers to look for other ways (RFC 8326), and
// they keep its routes; shut down for good, or taken out of the cluster, it says so in words (RFC 9003)
// and its routes go at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { affinityKey, resourceKey } from '../../src/model/keys.ts';
import { cidr } from '../../src/net/cidr.ts';
import { eventually } from '../lab/command.ts';
import { address, ManyHosts, resource } from './many-hosts.ts';
import { FRR, GOBGP, OURS, ThreeHosts } from './three-hosts.ts';
import { OUR_BLOCK } from './two-hosts.ts';

const NODES = [1, 2, 3] as const;
/** Told by nodes 1 and 2, as an address of both. */
const BOTH = '192.168.50.0/26';

describe('a node of a mesh goes', { timeout: 120_000 }, () => {
  const hosts = new ManyHosts(NODES);
  before(async () => {
    await hosts.open();
    const pool = resource('IPPool', 'pool', { cidr: '192.168.0.0/16', ipipMode: 'Never' });
    hosts.put(resourceKey('ippools', 'pool'), pool);
    for (const n of NODES) hosts.putNode(n);
    for (const n of [1, 2]) hosts.put(affinityKey(`n${n}`, cidr(BOTH)), '{"state":"confirmed"}');
    for (const n of NODES) hosts.startSpeaker(n, { BGP_DRAIN_SECONDS: '2' });
    await eventually('both ways', () => hops() === `${address(1)} ${address(2)}`, 20_000);
  });
  after(() => hosts.close());

  /** Next hops of node 3 to the prefix of both. */
  const hops = (): string =>
    [...hosts.inside(3, 'ip', 'route', 'show', BOTH).matchAll(/via (\S+)/g)]
      .map(([, hop]) => hop!)
      .toSorted()
      .join(' ');
  const sessionTo = (n: number) => {
    const { peers } = JSON.parse(hosts.ask(3, '/status')) as {
      peers: readonly { address: string; state: string; lastError?: string }[];
    };
    return peers.find((peer) => peer.address === address(n));
  };

  test('SIGTERM: traffic turns to the other way while the session is still up; its routes stay', async () => {
    const gone = hosts.end('speaker1', 'SIGTERM');
    await eventually('the other way alone', () => hops() === address(2));
    assert.equal(sessionTo(1)?.state, 'established');
    await gone;
    await eventually('its session is gone', () => sessionTo(1)?.state !== 'established');
    assert.doesNotMatch(sessionTo(1)?.lastError ?? '', /Cease/);
    const told = JSON.parse(hosts.ask(3, `/routes?prefix=${BOTH}`)) as {
      paths: readonly { localPref: number; stale: boolean; communities: readonly string[] }[];
    };
    assert.deepEqual(
      told.paths.map(({ localPref, stale, communities }) => [localPref, stale, ...communities]),
      [
        [100, false],
        [0, true, 'graceful-shutdown'],
      ],
    );
  });

  test('it comes back: both ways again', async () => {
    hosts.startSpeaker(1, { BGP_DRAIN_SECONDS: '0' });
    await eventually('both ways', () => hops() === `${address(1)} ${address(2)}`, 20_000);
  });

  test('SIGQUIT: the peers hear why, and keep nothing', async () => {
    await hosts.end('speaker1', 'SIGQUIT');
    const said =
      'peer: Cease: Hard Reset (6/9): Cease: Administrative Shutdown (6/2): "the speaker of node n1 is shut down"';
    await eventually('the text', () => sessionTo(1)?.lastError?.endsWith(said));
    await eventually('its way is gone', () => hops() === address(2));
    assert.doesNotMatch(hosts.ask(3, `/routes?prefix=${BOTH}`), /"stale":true/);
  });
});

describe('a node is taken out of the cluster', { timeout: 60_000 }, () => {
  let hosts: ThreeHosts;
  before(async () => {
    hosts = new ThreeHosts();
    hosts.ourNode('1.0.0.1');
    hosts.peerWith('frr', FRR);
    hosts.peerWith('gobgp', GOBGP);
    hosts.startFrr();
    hosts.startGobgp();
    hosts.startSpeaker();
    await eventually(
      'both have our block',
      () => hosts.seenByFrr(OUR_BLOCK) && hosts.seenByGobgp(OUR_BLOCK),
      30_000,
    );
  });
  after(() => hosts?.close());

  test('FRR and GoBGP hear it in words, and drop its routes', async () => {
    hosts.removeResource('nodes', 'ours');
    await eventually('FRR lost our block', () =>
      /not in table|^\{\s*\}/.test(hosts.vtysh(`show bgp ipv4 unicast ${OUR_BLOCK}`)),
    );
    const neighbour = hosts.vtysh(`show bgp neighbors ${OURS} json`);
    assert.match(neighbour, /"lastShutdownDescription":"node ours has left the cluster"/);
    await eventually('GoBGP lost it', () => !hosts.gobgp('global rib').includes(OUR_BLOCK));
    assert.deepEqual((await hosts.state()).peers, []);
  });
});
