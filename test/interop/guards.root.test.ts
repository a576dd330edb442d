// Guarded sessions with BIRD, FRR and GoBGP, over IPv4 and IPv6: TCP-MD5 and GTSM at once, what comes
// of a key or a distance that does not fit, and what each side says of the other in the OPENs.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const HOSTS = {
  4: { ours: '10.77.4.2', theirs: '10.77.4.1' },
  6: { ours: 'fd00:77::2', theirs: 'fd00:77::1' },
} as const;
type Family = keyof typeof HOSTS;
const ROUTES = { 4: '172.20.0.0/16', 6: 'fd00:20::/64' } as const;
const THEIR_ASN = 4200000001;
const PASSWORD = 'between us';

abstract class GuardedHosts extends TwoHosts {
  protected daemon: ChildProcess | undefined;
  readonly family: Family;

  constructor(family: Family) {
    super({ ...HOSTS[4], holdTimeSeconds: 9 });
    this.family = family;
    for (const [netns, host] of [
      [this.left, HOSTS[6].ours],
      [this.right, HOSTS[6].theirs],
    ] as const)
      run(['ip', '-n', netns, 'addr', 'add', `${host}/64`, 'dev', 'eth0', 'nodad']);
    this.removeResource('nodes', 'theirs');
    const bgp = { ipv4Address: `${HOSTS[4].ours}/24`, ipv6Address: `${HOSTS[6].ours}/64` };
    this.putResource('nodes', 'Node', 'ours', { bgp });
    const spec = { nodeToNodeMeshEnabled: false, asNumber: 64512 };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
    this.guard(PASSWORD);
  }

  get ours(): string {
    return HOSTS[this.family].ours;
  }

  get theirs(): string {
    return HOSTS[this.family].theirs;
  }

  guard(password: string): void {
    this.putSecret('bgp-secrets', { key: password });
    this.putResource('bgppeers', 'BGPPeer', 'theirs', {
      node: 'ours',
      peerIP: this.theirs,
      asNumber: THEIR_ASN,
      ttlSecurity: 1,
      password: { secretKeyRef: { name: 'bgp-secrets', key: 'key' } },
    });
  }

  /** Begins with GTSM on or off at the other side. */
  abstract begin(guarded: boolean): void;

  async stopDaemon(): Promise<void> {
    await this.end(this.daemon);
  }

  async lastError(): Promise<string> {
    return (await this.state()).peers[0]?.lastError ?? '';
  }

  /** One of our kernel's counters. */
  counter(name: string): number {
    const text = run(['ip', 'netns', 'exec', this.left, 'nstat', '-asz', name]);
    return Number(new RegExp(`${name} +(\\d+)`).exec(text)?.[1]);
  }

  learned(): string {
    const family = `-${this.family}`;
    return run(['ip', family, '-n', this.left, 'route', 'show', 'proto', 'bird']);
  }
}

class BirdHost extends GuardedHosts {
  private readonly control = `${this.directory}/bird.ctl`;

  begin(guarded: boolean): void {
    const channel = `ipv${this.family} { import all; export where source = RTS_STATIC; };`;
    const config = this.file(
      'bird.conf',
      `router id ${HOSTS[4].theirs};
protocol device { scan time 1; }
protocol static { ipv${this.family}; route ${ROUTES[this.family]} blackhole; }
protocol bgp ours {
  local ${this.theirs} as ${THEIR_ASN}; neighbor ${this.ours} as 64512;
  password "${PASSWORD}"; ttl security ${guarded ? 'on' : 'off'};
  enable extended messages on;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ${channel}
}
`,
    );
    this.daemon = this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdc(...command: readonly string[]): string {
    return run(['birdc', '-s', this.control, ...command]);
  }
}

class FrrHost extends GuardedHosts {
  begin(guarded: boolean): void {
    const { ours, family } = this;
    const config = this.file(
      'bgpd.conf',
      `router bgp ${THEIR_ASN}
 bgp router-id ${HOSTS[4].theirs}
 no bgp network import-check
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor ${ours} remote-as 64512
 neighbor ${ours} password ${PASSWORD.replaceAll(' ', '')}
 ${guarded ? `neighbor ${ours} ttl-security hops 1` : ''}
 neighbor ${ours} timers connect 1
 address-family ipv${family} unicast
  network ${ROUTES[family]}
  neighbor ${ours} activate
 exit-address-family
`,
    );
    const where = ['-f', config, '-i', `${this.directory}/bgpd.pid`];
    const sockets = ['--vty_socket', this.directory, '-A', '127.0.0.1'];
    this.daemon = this.startDaemon(['/usr/lib/frr/bgpd', '-n', '-Z', '-S', ...where, ...sockets]);
  }

  vtysh(command: string): string {
    return this.inRight(['vtysh', '--vty_socket', this.directory, '-d', 'bgpd', '-c', command]);
  }
}

class GobgpHost extends GuardedHosts {
  begin(guarded: boolean): void {
    const config = this.file(
      'gobgpd.toml',
      `[global.config]
as = ${THEIR_ASN}
router-id = "${HOSTS[4].theirs}"
[[neighbors]]
[neighbors.config]
neighbor-address = "${this.ours}"
peer-as = 64512
auth-password = "${PASSWORD}"
[neighbors.transport.config]
local-address = "${this.theirs}"
[neighbors.ttl-security.config]
enabled = ${guarded}
ttl-min = 255
[neighbors.timers.config]
connect-retry = 1
hold-time = 9
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv${this.family}-unicast"
`,
    );
    this.daemon = this.startDaemon(['gobgpd', '-f', config, '--api-hosts', '127.0.0.1:50051']);
  }
}

const PEERS = { BIRD: BirdHost, FRR: FrrHost, GoBGP: GobgpHost } as const;

for (const [name, Host] of Object.entries(PEERS))
  for (const family of [4, 6] as const)
    describe(`${name} over IPv${family}, with a key and GTSM`, { timeout: 120_000 }, () => {
      let hosts: GuardedHosts;
      before(async () => {
        hosts = new Host(family);
        if (name === 'FRR') hosts.guard(PASSWORD.replaceAll(' ', ''));
        hosts.startSpeaker();
        hosts.begin(true);
        await hosts.established(30_000);
      });
      after(() => hosts?.close());

      test('the session stays, and tells routes of its family', async () => {
        if (hosts instanceof GobgpHost) {
          const add = ['global', 'rib', 'add', '-a', `ipv${family}`, ROUTES[family]];
          hosts.inRight(['gobgp', ...add]);
        }
        await eventually('their route is there', () => hosts.learned().includes(ROUTES[family]));
      });

      test('another key: no session, and the kernel counts why', async () => {
        const failed = () => hosts.counter('TcpExtTCPMD5Failure');
        const before = failed();
        hosts.guard('something else');
        await eventually('segments are dropped', () => failed() > before, 20_000);
        assert.notEqual((await hosts.state()).peers[0]?.state, 'established');
        hosts.guard(name === 'FRR' ? PASSWORD.replaceAll(' ', '') : PASSWORD);
        await hosts.established(40_000);
      });

      test('a peer that may be far away is not let in', async () => {
        await hosts.stopDaemon();
        const dropped = () => hosts.counter('TcpExtTCPMinTTLDrop');
        const before = dropped();
        hosts.begin(false);
        await eventually('segments are dropped', () => dropped() > before, 20_000);
        assert.notEqual((await hosts.state()).peers[0]?.state, 'established');
      });
    });

describe('what BIRD and we say to each other', { timeout: 60_000 }, () => {
  let bird: BirdHost;
  before(async () => {
    bird = new BirdHost(4);
    bird.startSpeaker();
    bird.begin(true);
    await bird.established(30_000);
  });
  after(() => bird?.close());

  test('the capabilities of both OPENs', () => {
    const shown = bird.birdc('show', 'protocols', 'all', 'ours');
    const ours = shown.slice(shown.indexOf('Neighbor capabilities'));
    for (const capability of [
      'Multiprotocol',
      'Route refresh',
      'Extended message',
      'Graceful restart',
      'Restart time: 120',
      '4-octet AS numbers',
      'ADD-PATH',
      'Enhanced refresh',
      'Long-lived graceful restart',
    ])
      assert(ours.includes(capability), `${capability} in\n${ours}`);
    assert.match(shown, /Session: +external AS4/);
  });

  test('a thousand prefixes at once, where longer messages are agreed', async () => {
    for (let n = 0; n < 64; n++)
      for (let m = 0; m < 16; m++) bird.ownBlock(`192.168.${128 + n}.${m * 16}/28`);
    const count = () =>
      Number(/(\d+) imported/.exec(bird.birdc('show', 'protocols', 'all', 'ours'))?.[1]);
    await eventually('BIRD has all blocks', () => count() === 1025);
    assert.match(bird.birdc('show', 'route', 'for', '192.168.191.240/28'), /from|via|BGP|unicast/i);
    assert.equal((await bird.state()).peers[0]?.state, 'established');
    assert(bird.birdc('show', 'route', OUR_BLOCK).includes(bird.ours));
  });

  test('a shutdown with a text is told, and the session comes back', async () => {
    bird.birdc('disable', 'ours', '"maintenance until 18:00"');
    const said = 'peer: Cease: Administrative Shutdown (6/2): "maintenance until 18:00"';
    await eventually('the text', async () => (await bird.lastError()) === said);
    bird.birdc('enable', 'ours');
    await bird.established(40_000);
  });
});
