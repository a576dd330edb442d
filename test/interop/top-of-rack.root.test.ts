// A node without a mesh and its top-of-rack routers: BIRD speaks eBGP as two of them. What
// BGPConfiguration, BGPPeer, BGPFilter and Secrets say is at work at once, and only where it must.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const OURS = '10.77.0.1';
const [FIRST, SECOND] = ['10.77.0.2', '10.77.0.3'] as const;
const OUTSIDE = ['172.20.0.0/16', '172.21.0.0/16'] as const;

class Racks extends TwoHosts {
  private readonly control = `${this.directory}/bird.ctl`;
  private bird: ChildProcess | undefined;

  constructor() {
    super({ ours: OURS, theirs: FIRST });
    run(['ip', '-n', this.right, 'addr', 'add', `${SECOND}/24`, 'dev', 'eth0']);
    // The router is no node of the cluster.
    this.removeResource('nodes', 'theirs');
    this.configure({});
  }

  configure(more: object): void {
    const spec = { nodeToNodeMeshEnabled: false, asNumber: 64512, ...more };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
  }

  peerWith(name: string, peerIP: string, asNumber: number, more: object = {}): void {
    this.putResource('bgppeers', 'BGPPeer', name, { node: 'ours', peerIP, asNumber, ...more });
  }

  filter(name: string, spec: object): void {
    this.putResource('bgpfilters', 'BGPFilter', name, spec);
  }

  /** Writes BIRD's configuration; a running BIRD takes it in without ending other sessions. */
  configureBird(password: string): void {
    // BIRD has one session to an address and port; where it listens only, the port means nothing.
    const router = (name: string, local: string, asn: number, more: string) => `
protocol bgp ${name} {
  local ${local} as ${asn}; neighbor ${OURS} ${more}
  strict bind on; hold time 9; connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export where source = RTS_STATIC; };
}`;
    const config = this.file(
      'bird.conf',
      `router id ${FIRST};
protocol device { scan time 1; }
protocol static outside { ipv4; ${OUTSIDE.map((net) => `route ${net} blackhole;`).join(' ')} }
${router('rack1', FIRST, 65001, `as 64512; password "${password}";`)}
${router('rack2', SECOND, 65002, 'port 1179 as 64512; passive on;')}
`,
    );
    if (this.bird) this.birdc('configure');
    else this.bird = this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdc(command: string): string {
    return run(['birdc', '-s', this.control, ...command.split(' ')]);
  }

  /** What BIRD has from us by this protocol, once it is as wanted. */
  seen(protocol: string, wanted: (text: string) => boolean): Promise<string> {
    let text = '';
    const look = () => {
      text = this.birdc(`show route all protocol ${protocol}`);
      return wanted(text) ? text : undefined;
    };
    return eventually(`BIRD's routes by ${protocol}`, look).catch((cause) => {
      throw new Error(`${String(cause)}\n${text}`);
    });
  }

  async established2(...names: readonly string[]): Promise<void> {
    const want = names.toSorted().join();
    const up = async () => {
      const { peers } = await this.state();
      const there = peers.filter(({ state }) => state === 'established');
      return (
        there
          .map(({ name }) => name)
          .toSorted()
          .join() === want
      );
    };
    await eventually(`${want} established`, up, 20_000);
  }

  /** When the sessions were established, by name. */
  async since(): Promise<Readonly<Record<string, string>>> {
    const { peers } = await this.state();
    return Object.fromEntries(peers.map(({ name, since }) => [name, since]));
  }
}

const [NODE_FIRST, NODE_SECOND] = ['Node_10_77_0_2', 'Node_10_77_0_3'] as const;
const secret = { password: { secretKeyRef: { name: 'bgp-secrets', key: 'first' } } };
const via = (hop: string) => OUTSIDE.map((net) => `${net} via ${hop} dev eth0`);

describe('top of rack: eBGP with BIRD, mesh off', { timeout: 180_000 }, () => {
  let racks: Racks;
  const blackhole = `blackhole ${OUR_BLOCK}`;
  before(() => {
    racks = new Racks();
    racks.configureBird('open');
    racks.startSpeaker();
  });
  after(() => racks?.close());

  test('without a Secret there is no session, and it says why', async () => {
    racks.peerWith('first', FIRST, 65001, secret);
    const refused = async () => (await racks.state()).refused.join();
    assert.equal(
      await eventually('the refusal', refused),
      'BGPPeer first: Secret bgp-secrets key first is not there: no session without its password',
    );
    assert.deepEqual((await racks.state()).peers, []);
  });

  test('with the password: routes both ways, next hop and AS path of an external peer', async () => {
    racks.putSecret('bgp-secrets', { first: 'open' });
    await racks.established2(NODE_FIRST);
    const text = await racks.seen('rack1', (t) => t.includes(OUR_BLOCK));
    assert.match(text, /BGP\.as_path: 64512\n/);
    assert.match(text, new RegExp(`BGP\\.next_hop: ${OURS}\\n`));
    await racks.routesAre([blackhole, ...via(FIRST)]);
  });

  test('a second router: the first session stays', async () => {
    const before = await racks.since();
    racks.peerWith('second', SECOND, 65002);
    await racks.established2(NODE_FIRST, NODE_SECOND);
    await racks.seen('rack2', (t) => t.includes(OUR_BLOCK));
    assert.equal((await racks.since())[NODE_FIRST], before[NODE_FIRST]);
  });

  test('a filter on import: its routes go, and come back with it; no session ends', async () => {
    const before = await racks.since();
    const [gone] = OUTSIDE;
    racks.filter('in', { importV4: [{ cidr: gone, matchOperator: 'Equal', action: 'Reject' }] });
    racks.peerWith('first', FIRST, 65001, { ...secret, filters: ['in'] });
    racks.peerWith('second', SECOND, 65002, { filters: ['in'] });
    const without = () => !racks.routes().some((route) => route.startsWith(gone));
    await eventually('the rejected route is gone', without);
    assert(racks.routes().some((route) => route.startsWith(OUTSIDE[1])));
    racks.filter('in', {});
    await eventually('the route is back', () => !without());
    assert.deepEqual(await racks.since(), before);
  });

  test('a filter on export: communities, AS path and rejection, told without a new session', async () => {
    const before = await racks.since();
    const operations = [
      { addCommunity: { value: '64512:7' } },
      { addCommunity: { value: '64512:1:2' } },
      { prependASPath: { prefix: [64512, 64999] } },
    ];
    racks.filter('out', { exportV4: [{ action: 'Accept', operations }] });
    racks.peerWith('first', FIRST, 65001, { ...secret, filters: ['out'] });
    const text = await racks.seen('rack1', (t) => t.includes('(64512,7)'));
    assert.match(text, /BGP\.large_community: \(64512, 1, 2\)/);
    assert.match(text, /BGP\.as_path: [0-9 ]*64512 64999\b/);
    racks.filter('out', { exportV4: [{ action: 'Reject' }] });
    await racks.seen('rack1', (t) => !t.includes(OUR_BLOCK));
    await racks.seen('rack2', (t) => t.includes(OUR_BLOCK));
    racks.peerWith('first', FIRST, 65001, secret);
    await racks.seen('rack1', (t) => t.includes(OUR_BLOCK));
    assert.deepEqual(await racks.since(), before);
  });

  test('communities of prefixAdvertisements come and go', async () => {
    const before = await racks.since();
    racks.configure({
      communities: [{ name: 'pods', value: '64512:100' }],
      prefixAdvertisements: [{ cidr: '192.168.0.0/16', communities: ['pods', '64512:0:5'] }],
    });
    const text = await racks.seen('rack2', (t) => t.includes('(64512,100)'));
    assert.match(text, /BGP\.large_community: \(64512, 0, 5\)/);
    racks.configure({});
    await racks.seen('rack2', (t) => t.includes(OUR_BLOCK) && !t.includes('(64512,100)'));
    assert.deepEqual(await racks.since(), before);
  });

  test('a cordoned node asks its peers to look for other ways', async () => {
    racks.cordon(true);
    for (const name of ['rack1', 'rack2']) await racks.seen(name, (t) => t.includes('(65535,0)'));
    racks.cordon(false);
    await racks.seen('rack1', (t) => t.includes(OUR_BLOCK) && !t.includes('(65535,0)'));
  });

  test('a new password: the other session stays, and without the right one none comes up', async () => {
    const before = await racks.since();
    racks.putSecret('bgp-secrets', { first: 'sesame' });
    await racks.established2(NODE_SECOND);
    racks.configureBird('sesame');
    await racks.established2(NODE_FIRST, NODE_SECOND);
    const after = await racks.since();
    assert.equal(after[NODE_SECOND], before[NODE_SECOND]);
    assert.notEqual(after[NODE_FIRST], before[NODE_FIRST]);
  });

  test('a peer that is no longer asked for: its session and routes go, the other stays', async () => {
    const before = await racks.since();
    racks.removeResource('bgppeers', 'first');
    await racks.established2(NODE_SECOND);
    await racks.routesAre([blackhole, ...via(SECOND)]);
    assert.equal((await racks.since())[NODE_SECOND], before[NODE_SECOND]);
  });

  test('another port, and the node’s own address only: the speaker listens there at once', async () => {
    const listening = () => run(['ip', 'netns', 'exec', racks.left, 'ss', '-ltnH']);
    await eventually('listens on all addresses', () => listening().includes('0.0.0.0:179 '));
    racks.configure({ bindMode: 'NodeIP', listenPort: 1179 });
    await eventually('listens on its own address', () => listening().includes(`${OURS}:1179 `));
    assert.doesNotMatch(listening(), /:179 /);
    await racks.established2(NODE_SECOND);
  });
});
