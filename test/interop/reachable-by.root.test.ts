// A router that is not next door: BGPPeer's `reachableBy` and `sourceAddress: None`, with BIRD. Its
// address is on no link of ours, and of the gateway only the resource tells.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, GATEWAY, ROUTER] = ['10.77.6.2', '10.77.6.1', '172.31.0.1'];
const [OURS6, GATEWAY6, ROUTER6] = ['fd00:76::2', 'fd00:76::1', 'fd00:31::1'];
const ROUTER_ASN = 65001;
const [OUR_BLOCK6, THEIR_BLOCK6] = ['fd00:10::/122', 'fd00:10::40/122'];

class FarRouter extends TwoHosts {
  private readonly control = `${this.directory}/bird.ctl`;

  constructor() {
    super({ ours: OURS, theirs: GATEWAY, holdTimeSeconds: 9 });
    for (const [netns, host] of [
      [this.left, OURS6],
      [this.right, GATEWAY6],
    ] as const)
      run(['ip', '-n', netns, 'addr', 'add', `${host}/64`, 'dev', 'eth0', 'nodad']);
    run(['ip', '-n', this.right, 'addr', 'add', `${ROUTER}/32`, 'dev', 'lo']);
    run(['ip', '-n', this.right, 'addr', 'add', `${ROUTER6}/128`, 'dev', 'lo']);
    this.removeResource('nodes', 'theirs');
    const bgp = { ipv4Address: `${OURS}/24`, ipv6Address: `${OURS6}/64` };
    this.putResource('nodes', 'Node', 'ours', { bgp });
    const spec = { nodeToNodeMeshEnabled: false, asNumber: 64512 };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
    this.putResource('ippools', 'IPPool', 'pool6', { cidr: 'fd00:10::/64' });
    this.ownBlock(OUR_BLOCK6);
  }

  startBird(): void {
    const session = (name: string, local: string, ours: string, family: number) => `
protocol bgp ${name} {
  local ${local} as ${ROUTER_ASN}; neighbor ${ours} as 64512;
  multihop; hold time 9;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv${family} { import all; export where source = RTS_STATIC; };
}`;
    const config = this.file(
      'bird.conf',
      `router id ${GATEWAY};
protocol device { scan time 1; }
protocol static { ipv4; route ${THEIR_BLOCK} blackhole; }
protocol static { ipv6; route ${THEIR_BLOCK6} blackhole; }
${session('ours4', ROUTER, OURS, 4)}
${session('ours6', ROUTER6, OURS6, 6)}
`,
    );
    this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  peerWith(name: string, peerIP: string, reachableBy: string): void {
    const spec = { peerIP, asNumber: ROUTER_ASN, sourceAddress: 'None', reachableBy };
    this.putResource('bgppeers', 'BGPPeer', name, { node: 'ours', ...spec });
  }

  birdSees(prefix: string): Promise<string> {
    return eventually(`BIRD has ${prefix}`, () => {
      const text = run(['birdc', '-s', this.control, 'show', 'route', 'all', prefix]);
      return text.includes('BGP.next_hop') ? text : undefined;
    });
  }

  routes6(): string {
    return run(['ip', '-6', '-n', this.left, 'route', 'show', 'proto', 'bird']);
  }
}

describe('a router behind a gateway, with BIRD', { timeout: 60_000 }, () => {
  let hosts: FarRouter;
  const blackhole = `blackhole ${OUR_BLOCK}`;
  before(() => {
    hosts = new FarRouter();
    hosts.startBird();
    hosts.startSpeaker();
  });
  after(() => hosts?.close());

  test('IPv4: its address is routed by the gateway, the session comes up, and routes go both ways', async () => {
    hosts.peerWith('far', ROUTER, GATEWAY);
    await hosts.established();
    await hosts.routesAre([
      blackhole,
      `${ROUTER} via ${GATEWAY} dev eth0`,
      `${THEIR_BLOCK} via ${GATEWAY} dev eth0`,
    ]);
    assert.match(await hosts.birdSees(OUR_BLOCK), new RegExp(`BGP.next_hop: ${OURS}\\n`));
  });

  test('IPv6 beside it: the same, and our next hop is the address that the session has', async () => {
    hosts.peerWith('far6', ROUTER6, GATEWAY6);
    await eventually('their block', () =>
      hosts.routes6().includes(`${THEIR_BLOCK6} via ${GATEWAY6} dev eth0`),
    );
    assert.match(await hosts.birdSees(OUR_BLOCK6), new RegExp(`BGP.next_hop: ${OURS6}[\\n ]`));
    const { peers } = await hosts.state();
    assert.deepEqual(
      peers.map(({ state, lastError }) => [state, lastError]),
      [
        ['established', ''],
        ['established', ''],
      ],
    );
  });

  test('without the peers the routes to them go', async () => {
    for (const name of ['far', 'far6']) hosts.removeResource('bgppeers', name);
    await hosts.routesAre([blackhole]);
    await eventually('gone', () => !hosts.routes6().includes(ROUTER6));
  });
});
