// Our speaker against BIRD 2, which Calico's own nodes run.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

class BirdHost extends TwoHosts {
  bird: ChildProcess | undefined;
  private readonly control = `${this.directory}/bird.ctl`;

  startBird(extra = ''): void {
    const { ours, theirs } = this.options;
    const config = this.file(
      'bird.conf',
      `router id ${theirs};
protocol device { scan time 1; }
protocol static blocks { ipv4; route ${THEIR_BLOCK} blackhole; }
protocol bgp ours {
  local ${theirs} as 64512;
  neighbor ${ours} as 64512;
  hold time 240;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ${extra}
  ipv4 { import all; export all; next hop self; };
}
`,
    );
    this.bird = this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdc(command: string): string {
    return run(['birdc', '-s', this.control, ...command.split(' ')]);
  }

  async birdSees(prefix: string, present: boolean): Promise<string> {
    let text = '';
    const found = () => {
      text = this.birdc(`show route all where net = ${prefix}`);
      return text.includes(prefix) === present;
    };
    await eventually(`BIRD ${present ? 'has' : 'has not'} ${prefix}`, found);
    return text;
  }
}

const SESSIONS = [
  { who: 'BIRD connects, we listen', ours: '10.77.0.1', theirs: '10.77.0.2', extra: '' },
  {
    who: 'we connect, BIRD listens',
    ours: '10.77.0.9',
    theirs: '10.77.0.10',
    extra: 'passive on;',
  },
];

for (const { who, ours, theirs, extra } of SESSIONS) {
  describe(`BIRD: ${who}`, () => {
    let hosts: BirdHost;
    const theirRoute = `${THEIR_BLOCK} via ${theirs} dev eth0`;
    const blackhole = `blackhole ${OUR_BLOCK}`;
    before(async () => {
      hosts = new BirdHost({ ours, theirs });
      hosts.startBird(extra);
      hosts.startSpeaker();
      await hosts.established();
    });
    after(() => hosts?.close());

    test('routes both ways', async () => {
      await hosts.routesAre([blackhole, theirRoute]);
      const seen = await hosts.birdSees(OUR_BLOCK, true);
      assert.match(seen, new RegExp(`BGP.next_hop: ${ours}`));
      assert.match(seen, /BGP.origin: IGP/);
      assert.match(seen, /BGP.local_pref: 100/);
      assert.deepEqual((await hosts.state()).problems, []);
      assert.equal((await hosts.state()).ready, true);
    });

    test('the MRT dump, read by bgpdump', async () => {
      const lines = (await hosts.dump()).map((line) => line.split('|').toSpliced(1, 1));
      assert.deepEqual(lines.toSorted(), [
        [
          'TABLE_DUMP2',
          'B',
          '0.0.0.0',
          '0',
          OUR_BLOCK,
          '',
          'IGP',
          '0.0.0.0',
          '0',
          '0',
          '',
          'NAG',
          '',
          '',
        ],
        [
          'TABLE_DUMP2',
          'B',
          theirs,
          '64512',
          THEIR_BLOCK,
          '',
          'IGP',
          theirs,
          '100',
          '0',
          '',
          'NAG',
          '',
          '',
        ],
      ]);
    });

    test('the lower hold time counts: 3 s, keepalives at 1 s, and the session stays', () => {
      const shown = hosts.birdc('show protocols all ours');
      assert.match(shown, /Hold timer: +\d(\.\d+)?\/3/);
      assert.match(shown, /4-octet AS numbers/);
      assert.match(shown, /Route refresh/);
    });

    test('a route that somebody deletes is back within a second', async () => {
      run(['ip', '-n', hosts.left, 'route', 'del', THEIR_BLOCK]);
      run(['ip', '-n', hosts.left, 'route', 'del', 'blackhole', OUR_BLOCK]);
      await hosts.routesAre([blackhole, theirRoute], 1000);
    });

    test('BIRD withdraws and announces again', async () => {
      hosts.birdc('disable blocks');
      await hosts.routesAre([blackhole]);
      hosts.birdc('enable blocks');
      await hosts.routesAre([blackhole, theirRoute]);
    });

    test('a new block of ours is announced, a lost one withdrawn', async () => {
      hosts.ownBlock('192.168.1.64/26');
      await hosts.birdSees('192.168.1.64/26', true);
      await hosts.routesAre([blackhole, 'blackhole 192.168.1.64/26', theirRoute]);
      hosts.disownBlock('192.168.1.64/26');
      await hosts.birdSees('192.168.1.64/26', false);
      await hosts.routesAre([blackhole, theirRoute]);
    });

    test('an address of its block that a pod of ours holds: announced by itself, and withdrawn', async () => {
      hosts.putPod('plain', '192.168.1.7');
      hosts.putPod('borrower', '192.168.2.9');
      const seen = await hosts.birdSees('192.168.2.9/32', true);
      assert.match(seen, new RegExp(`BGP.next_hop: ${ours}`));
      await hosts.birdSees('192.168.1.7/32', false);
      await hosts.routesAre([blackhole, theirRoute]);
      for (const pod of ['plain', 'borrower']) hosts.removePod(pod);
      await hosts.birdSees('192.168.2.9/32', false);
    });

    test('ROUTE-REFRESH is answered without a new session', async () => {
      const since = () =>
        /^ours +BGP +\S+ +up +(\S+)/m.exec(hosts.birdc('show protocols ours'))?.[1];
      const before = since();
      assert(before);
      hosts.birdc('reload in ours');
      await hosts.birdSees(OUR_BLOCK, true);
      assert.equal(since(), before);
    });

    test('BIRD is asked for nothing and tells all again, between a begin and an end', async () => {
      const before = (await hosts.state()).peers[0]!.refreshes.received;
      hosts.birdc('reload out ours');
      const both = async () => (await hosts.state()).peers[0]!.refreshes.received === before + 2;
      await eventually('begin and end', both);
      await hosts.routesAre([theirRoute, blackhole]);
    });

    test('a silent peer: its routes go when the hold time is over, and come back', async () => {
      hosts.bird!.kill('SIGSTOP');
      await hosts.routesAre([blackhole], 6000);
      const [problem = ''] = (await hosts.state()).problems;
      assert.match(
        problem,
        new RegExp(`^BIRD6? is not ready: BGP not established with ${theirs}$`),
      );
      hosts.bird!.kill('SIGCONT');
      await hosts.established(30_000);
      await hosts.routesAre([blackhole, theirRoute]);
    });

    test('a killed peer: its routes go at once, and come back with it', async () => {
      await hosts.end(hosts.bird);
      await hosts.routesAre([blackhole], 1000);
      hosts.startBird(extra);
      await hosts.established(30_000);
      await hosts.routesAre([blackhole, theirRoute]);
    });

    test('our speaker dies and starts again: no route of ours is ever gone', async () => {
      const deleted: string[] = [];
      const monitor = spawn('ip', ['-n', hosts.left, 'monitor', 'route'], { stdio: 'pipe' });
      monitor.stdout.setEncoding('utf8').on('data', (text: string) => deleted.push(text));
      try {
        await hosts.killSpeaker();
        await hosts.routesAre([blackhole, theirRoute]);
        hosts.startSpeaker();
        await hosts.established(30_000);
        await hosts.birdSees(OUR_BLOCK, true);
        await hosts.routesAre([blackhole, theirRoute]);
      } finally {
        await hosts.end(monitor);
      }
      assert.deepEqual(
        deleted.filter((line) => line.includes('Deleted')),
        [],
      );
    });

    test('a foreign route in the way is named and left alone', async () => {
      const foreign = ['192.168.3.0/26', 'dev', 'lo', 'proto', 'static'];
      run(['ip', '-n', hosts.left, 'route', 'add', ...foreign]);
      hosts.ownBlock('192.168.3.0/26');
      const named = async () => (await hosts.state()).routeProblems.join();
      const said = await eventually('the conflict is named', named);
      assert.match(said, /192\.168\.3\.0\/26: a route of protocol 4 is there/);
      run(['ip', '-n', hosts.left, 'route', 'del', ...foreign]);
      await hosts.routesAre([blackhole, 'blackhole 192.168.3.0/26', theirRoute], 2000);
    });
  });
}
