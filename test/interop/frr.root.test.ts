// Our speaker against FRR's bgpd, in our own AS.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS] = ['10.77.2.2', '10.77.2.1'];

class FrrHost extends TwoHosts {
  startFrr(): void {
    const config = this.file(
      'bgpd.conf',
      `router bgp 64512
 bgp router-id ${THEIRS}
 no bgp network import-check
 timers bgp 1 9
 neighbor ${OURS} remote-as 64512
 neighbor ${OURS} timers connect 1
 address-family ipv4 unicast
  network ${THEIR_BLOCK}
 exit-address-family
`,
    );
    // Without zebra and without a change of user: it only speaks BGP.
    const where = ['-f', config, '-i', `${this.directory}/bgpd.pid`];
    const sockets = ['--vty_socket', this.directory, '-A', '127.0.0.1'];
    this.startDaemon(['/usr/lib/frr/bgpd', '-n', '-Z', '-S', ...where, ...sockets]);
  }

  vtysh(command: string): string {
    return this.inRight(['vtysh', '--vty_socket', this.directory, '-d', 'bgpd', '-c', command]);
  }
}

describe('FRR in our AS', () => {
  let hosts: FrrHost;
  const blackhole = `blackhole ${OUR_BLOCK}`;
  const theirRoute = `${THEIR_BLOCK} via ${THEIRS} dev eth0`;
  before(async () => {
    hosts = new FrrHost({ ours: OURS, theirs: THEIRS, holdTimeSeconds: 9 });
    hosts.startFrr();
    hosts.startSpeaker();
    await hosts.established(30_000);
  });
  after(() => hosts?.close());

  test('routes both ways', async () => {
    await hosts.routesAre([blackhole, theirRoute]);
    const seen = await eventually('FRR has our block', () => {
      const text = hosts.vtysh(`show bgp ipv4 unicast ${OUR_BLOCK}`);
      return text.includes('Local') ? text : undefined;
    });
    assert.match(seen, new RegExp(`${OURS} from ${OURS} \\(${OURS}\\)`));
    assert.match(seen, /Origin IGP, localpref 100, valid, internal/);
  });

  test('ROUTE-REFRESH, then a hard reset: the session comes back', async () => {
    hosts.vtysh(`clear bgp ${OURS} soft in`);
    await hosts.routesAre([blackhole, theirRoute]);
    hosts.vtysh(`clear bgp ${OURS}`);
    await eventually(
      'it went',
      async () => (await hosts.state()).peers[0]?.state !== 'established',
    );
    await hosts.established(30_000);
    await hosts.routesAre([blackhole, theirRoute]);
  });

  test('withdrawals both ways', async () => {
    const family = 'router bgp 64512\naddress-family ipv4 unicast';
    hosts.vtysh(`configure terminal\n${family}\nno network ${THEIR_BLOCK}`);
    await hosts.routesAre([blackhole]);
    hosts.disownBlock(OUR_BLOCK);
    const gone = () => /not in table/.test(hosts.vtysh(`show bgp ipv4 unicast ${OUR_BLOCK}`));
    await eventually('FRR lost our block', gone);
  });
});
