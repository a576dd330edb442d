// IPv4 routes with an IPv6 next hop (RFC 8950), with FRR over an IPv6 session: in the kernel, and packets.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS] = ['fd00:78::1', 'fd00:78::2'];
const THEIR_ASN = 64999;

class FrrHost extends TwoHosts {
  startFrr(): void {
    const config = this.file(
      'bgpd.conf',
      `router bgp ${THEIR_ASN}
 bgp router-id 10.77.8.2
 no bgp network import-check
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor ${OURS} remote-as 64512
 neighbor ${OURS} timers connect 1
 neighbor ${OURS} capability extended-nexthop
 address-family ipv4 unicast
  network ${THEIR_BLOCK}
  neighbor ${OURS} activate
 exit-address-family
`,
    );
    const where = ['-f', config, '-i', `${this.directory}/bgpd.pid`];
    const sockets = ['--vty_socket', this.directory, '-A', '127.0.0.1'];
    this.startDaemon(['/usr/lib/frr/bgpd', '-n', '-Z', '-S', ...where, ...sockets]);
  }

  vtysh(command: string): string {
    return this.inRight(['vtysh', '--vty_socket', this.directory, '-d', 'bgpd', '-c', command]);
  }
}

describe('IPv4 over an IPv6 next hop, with FRR', () => {
  let hosts: FrrHost;
  before(async () => {
    hosts = new FrrHost({ ours: '10.77.8.1', theirs: '10.77.8.2', holdTimeSeconds: 9 });
    for (const [netns, address] of [
      [hosts.left, OURS],
      [hosts.right, THEIRS],
    ] as const)
      run(['ip', '-n', netns, 'addr', 'add', `${address}/64`, 'dev', 'eth0', 'nodad']);
    hosts.removeResource('nodes', 'theirs');
    const bgp = { ipv4Address: '10.77.8.1/24', ipv6Address: `${OURS}/64` };
    hosts.putResource('nodes', 'Node', 'ours', { bgp });
    const settings = { nodeToNodeMeshEnabled: false, asNumber: 64512 };
    hosts.putResource('bgpconfigurations', 'BGPConfiguration', 'default', settings);
    const peer = { node: 'ours', peerIP: THEIRS, asNumber: THEIR_ASN };
    const annotations = { 'calico-kit.io/families': 'ipv4,ipv6' };
    hosts.putResource('bgppeers', 'BGPPeer', 'theirs', peer, annotations);
    hosts.startFrr();
    hosts.startSpeaker();
    await hosts.established(30_000);
  });
  after(() => hosts?.close());

  test('theirs is a route via IPv6 in our kernel, and packets take it', async () => {
    const route = `${THEIR_BLOCK} via inet6 ${THEIRS} dev eth0`;
    await hosts.routesAre([`blackhole ${OUR_BLOCK}`, route]);
    const there = '192.168.2.1';
    run(['ip', '-n', hosts.right, 'addr', 'add', `${there}/32`, 'dev', 'lo']);
    const argv = [
      'ip',
      'netns',
      'exec',
      hosts.left,
      'ping',
      '-c1',
      '-W2',
      '-I',
      '10.77.8.1',
      there,
    ];
    assert.match(run(argv), / 0% packet loss/);
  });

  test('ours is told with our IPv6 address', async () => {
    const seen = await eventually('FRR has our block', () => {
      const text = hosts.vtysh(`show bgp ipv4 unicast ${OUR_BLOCK}`);
      return text.includes('64512') ? text : undefined;
    });
    assert.match(seen, new RegExp(`${OURS} from ${OURS}`));
  });
});
