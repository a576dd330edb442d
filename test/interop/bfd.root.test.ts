// BFD beside BGP with BIRD and FRR: a peer that falls silent is lost long before its hold time is over.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

/** Far longer than any test here waits. */
const HOLD_SECONDS = 180;
/** 3 x 150 ms, and room for a machine that is busy. */
const LOST_MS = 5000;

const BIRD_TIMERS = 'min rx interval 150 ms; min tx interval 150 ms; multiplier 3;';

abstract class BfdHost extends TwoHosts {
  daemon: ChildProcess | undefined;

  /** All sessions are watched. */
  watch(more = ''): void {
    const annotations = { 'calico-kit.io/bfd': `transmit=150ms,receive=150ms,multiplier=3${more}` };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', {}, annotations);
  }

  async bfdIs(state: string): Promise<void> {
    const is = async () => (await this.state()).peers[0]?.bfd === state;
    await eventually(`BFD is ${state}`, is, 15_000);
  }

  /** Its BFD session with us is up. */
  abstract seesUs(): boolean;
  /** Starts it all. */
  abstract startDaemons(): Promise<void>;
}

class BirdBfd extends BfdHost {
  private readonly control = `${this.directory}/bird.ctl`;
  /** BIRD watches a session as it is made: over several hops unless it is `direct`. */
  protected readonly session: 'direct' | 'multihop' = 'direct';

  async startDaemons(): Promise<void> {
    const { ours, theirs } = this.options;
    const config = this.file(
      'bird.conf',
      `router id ${theirs};
protocol device { scan time 1; }
protocol bfd {
  interface "eth0" { ${BIRD_TIMERS} };
  multihop { ${BIRD_TIMERS} };
}
protocol static blocks { ipv4; route ${THEIR_BLOCK} blackhole; }
protocol bgp ours {
  local ${theirs} as 64512;
  neighbor ${ours} as 64512;
  hold time ${HOLD_SECONDS};
  ${this.session};
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  bfd on;
  ipv4 { import all; export all; next hop self; };
}
`,
    );
    this.daemon = this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdc(command: string): string {
    return run(['birdc', '-s', this.control, ...command.split(' ')]);
  }

  seesUs(): boolean {
    return /\s+Up\s/.test(this.birdc('show bfd sessions'));
  }
}

class BirdMultihopBfd extends BirdBfd {
  protected override readonly session = 'multihop';

  override watch(): void {
    super.watch(',multihop=true');
  }
}

class FrrBfd extends BfdHost {
  /** FRR takes several hops for sessions of eBGP that may pass routers. */
  protected readonly asn: number = 64512;
  protected readonly neighbour: string = '';
  private readonly runFolder = `${this.directory}/run`;

  async startDaemons(): Promise<void> {
    const { ours, theirs } = this.options;
    const config = this.file(
      'bgpd.conf',
      `router bgp ${this.asn}
 bgp router-id ${theirs}
 no bgp ebgp-requires-policy
 no bgp network import-check
 timers bgp 60 ${HOLD_SECONDS}
 neighbor ${ours} remote-as 64512${this.neighbour && `\n neighbor ${ours} ${this.neighbour}`}
 neighbor ${ours} timers connect 1
 neighbor ${ours} bfd 3 150 150
 address-family ipv4 unicast
  network ${THEIR_BLOCK}
 exit-address-family
`,
    );
    // The daemons are not root.
    run(['chmod', '755', this.directory]);
    run(['install', '-d', '-o', 'frr', '-g', 'frrvty', this.runFolder]);
    const start = (name: string, ...more: string[]): ChildProcess => {
      const files = ['-z', `${this.runFolder}/zserv.api`, '-i', `${this.runFolder}/${name}.pid`];
      const vty = ['--vty_socket', this.runFolder, '-A', '127.0.0.1'];
      return this.startDaemon([`/usr/lib/frr/${name}`, ...files, ...vty, ...more]);
    };
    // zebra only carries words between the two; bgpd tells it of no routes.
    start('zebra');
    // Who finds no zebra tries again after 10 s.
    await eventually('zebra', () => existsSync(`${this.runFolder}/zserv.api`));
    start('bfdd', '--bfdctl', `${this.runFolder}/bfdd.sock`);
    await eventually('bfdd', () =>
      this.vtysh('zebra', 'show zebra client summary').includes('bfd'),
    );
    this.daemon = start('bgpd', '-n', '-f', config);
  }

  vtysh(daemon: string, command: string): string {
    return this.inRight(['vtysh', '--vty_socket', this.runFolder, '-d', daemon, '-c', command]);
  }

  seesUs(): boolean {
    return /Status: up/.test(this.vtysh('bfdd', 'show bfd peers'));
  }
}

class FrrMultihopBfd extends FrrBfd {
  protected override readonly asn = 64513;
  protected override readonly neighbour = 'ebgp-multihop 255';

  override watch(): void {
    super.watch(',multihop=true');
  }

  override seesUs(): boolean {
    assert.match(this.vtysh('bfdd', 'show bfd peers'), /multihop/);
    return super.seesUs();
  }
}

const PEERS = [
  { name: 'BIRD', make: () => new BirdBfd(addresses(1)) },
  { name: 'BIRD over several hops', make: () => new BirdMultihopBfd(addresses(4)) },
  { name: 'FRR', make: () => new FrrBfd(addresses(2)) },
  {
    name: 'FRR over several hops',
    make: () => new FrrMultihopBfd({ ...addresses(5), theirAsn: 64513 }),
  },
];

const addresses = (net: number) => ({
  ours: `10.78.${net}.1`,
  theirs: `10.78.${net}.2`,
  holdTimeSeconds: HOLD_SECONDS,
});

const dropping = (how: '-A' | '-D') => (netns: string) => {
  for (const chain of ['INPUT', 'OUTPUT'])
    run(['ip', 'netns', 'exec', netns, 'iptables', '-w', how, chain, '-j', 'DROP']);
};
const setting = (state: 'up' | 'down') => (netns: string) => {
  run(['ip', '-n', netns, 'link', 'set', 'eth0', state]);
};
/** Of the peer's namespace. */
const LOSSES = [
  ['the link goes down', setting('down'), setting('up')],
  ['all packets are dropped', dropping('-A'), dropping('-D')],
] as const;

for (const { name, make } of PEERS)
  describe(`BFD with ${name}`, () => {
    let hosts: BfdHost;
    const blackhole = `blackhole ${OUR_BLOCK}`;
    const routes = (): readonly string[] => [
      blackhole,
      `${THEIR_BLOCK} via ${hosts.options.theirs} dev eth0`,
    ];
    before(async () => {
      hosts = make();
      await hosts.startDaemons();
      hosts.startSpeaker();
      await hosts.established(30_000);
    });
    after(() => hosts?.close());

    test('it comes up beside a session that is there already, which goes on', async () => {
      await hosts.routesAre(routes());
      const { since } = (await hosts.state()).peers[0]!;
      hosts.watch();
      await hosts.bfdIs('up');
      await eventually(`${name} sees it too`, () => hosts.seesUs());
      assert.equal((await hosts.state()).peers[0]!.since, since);
    });

    for (const [what, begin, end] of LOSSES)
      test(`${what}: the BGP session ends and its routes go, and all comes back`, async () => {
        const began = performance.now();
        begin(hosts.right);
        try {
          await hosts.routesAre([blackhole], LOST_MS);
          const took = Math.round(performance.now() - began);
          console.log(`# ${name}: ${what}: routes gone after ${took} ms`);
          const [peer] = (await hosts.state()).peers;
          assert.match(peer!.lastError, /BFD/);
          await eventually(`${name} lost us too`, () => !hosts.seesUs());
        } finally {
          end(hosts.right);
        }
        await hosts.established(60_000);
        await hosts.bfdIs('up');
        await hosts.routesAre(routes());
      });
  });

describe('BFD with BIRD that does not speak it', () => {
  let hosts: BirdBfd;
  before(async () => {
    hosts = new (class extends BirdBfd {
      override file(name: string, text: string): string {
        return super.file(
          name,
          text.replace(/^protocol bfd.*?^}\n/ms, '').replace('  bfd on;\n', ''),
        );
      }
    })(addresses(3));
    hosts.watch();
    await hosts.startDaemons();
    hosts.startSpeaker();
  });
  after(() => hosts?.close());

  test('the BGP session comes up without it (RFC 5882 section 4.1)', async () => {
    await hosts.established(30_000);
    assert.equal((await hosts.state()).peers[0]!.bfd, 'down');
  });
});
