// Graceful restart with BIRD in both roles: who is killed comes back, and no route is ever gone.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS] = ['10.77.5.1', '10.77.5.2'];
const ANOTHER = '192.168.3.0/26';

class BirdHost extends TwoHosts {
  bird: ChildProcess | undefined;
  private readonly control = `${this.directory}/bird.ctl`;

  startBird(blocks: readonly string[]): void {
    const config = this.file(
      'bird.conf',
      `router id ${THEIRS};
protocol device { scan time 1; }
protocol direct { ipv4; }
protocol static blocks { ipv4; ${blocks.map((block) => `route ${block} blackhole;`).join(' ')} }
protocol kernel { graceful restart on; ipv4 { export all; }; persist; merge paths on; }
protocol bgp ours {
  local ${THEIRS} as 64512;
  neighbor ${OURS} as 64512;
  hold time 90;
  graceful restart on; graceful restart time 20;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export where source = RTS_STATIC; next hop self; };
}
`,
    );
    this.bird = this.startDaemon(['bird', '-f', '-R', '-c', config, '-s', this.control]);
  }

  birdc(...command: readonly string[]): string {
    return run(['birdc', '-s', this.control, ...command]);
  }

  /** UPDATEs of ours that BIRD has taken in. */
  updatesImported(): number {
    const shown = this.birdc('show', 'protocols', 'all', 'ours');
    return Number(/Import updates:\s+(\d+)/.exec(shown)?.[1] ?? 0);
  }

  /** Lines of the kernel's route monitor while something is done. */
  async watching(netns: string, what: () => Promise<void>): Promise<readonly string[]> {
    const lines: string[] = [];
    const monitor = spawn('ip', ['-n', netns, 'monitor', 'route'], { stdio: 'pipe' });
    monitor.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    try {
      await what();
    } finally {
      await this.end(monitor);
    }
    return lines
      .join('')
      .split('\n')
      .filter((line) => line.includes('Deleted'));
  }
}

/** An address of a block, on its host's loopback. */
const ADDRESS = { ours: '192.168.1.1', theirs: '192.168.2.1' } as const;

/** Pings both ways at 1,000 packets a second while something is done; answers what was lost. */
async function underTraffic(hosts: BirdHost, what: () => Promise<void>): Promise<string[]> {
  const ways = [
    { netns: hosts.left, from: OURS, to: ADDRESS.theirs },
    { netns: hosts.right, from: THEIRS, to: ADDRESS.ours },
  ];
  const pings = ways.map(({ netns, from, to }) => {
    const argv = ['netns', 'exec', netns, 'ping', '-q', '-i', '0.001', '-I', from, to];
    const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      text += more;
    });
    return { child, to, closed: once(child, 'close'), text: () => text };
  });
  try {
    await what();
  } finally {
    for (const { child } of pings) child.kill('SIGINT');
  }
  await Promise.all(pings.map(({ closed }) => closed));
  return pings.flatMap(({ to, text }) => {
    const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(text()) ?? [];
    assert.ok(Number(sent) > 500, `${to}: ${text()}`);
    return sent === received ? [] : [`${to}: ${received} of ${sent}`];
  });
}

describe('graceful restart with BIRD', { timeout: 120_000 }, () => {
  let hosts: BirdHost;
  const blackhole = `blackhole ${OUR_BLOCK}`;
  const via = (block: string): string => `${block} via ${THEIRS} dev eth0`;
  before(async () => {
    hosts = new BirdHost({ ours: OURS, theirs: THEIRS, holdTimeSeconds: 90 });
    hosts.startBird([THEIR_BLOCK, ANOTHER]);
    hosts.startSpeaker();
    await hosts.established(30_000);
    await hosts.routesAre([blackhole, via(THEIR_BLOCK), via(ANOTHER)]);
    for (const [netns, address] of [
      [hosts.left, ADDRESS.ours],
      [hosts.right, ADDRESS.theirs],
    ] as const)
      run(['ip', '-n', netns, 'addr', 'add', `${address}/32`, 'dev', 'lo']);
  });
  after(() => hosts?.close());

  test('BIRD is killed and starts again: its routes stay; what it no longer has goes', async () => {
    const deleted = await hosts.watching(hosts.left, async () => {
      await hosts.end(hosts.bird);
      const gone = async () => (await hosts.state()).peers[0]?.state !== 'established';
      await eventually('the session is gone', gone);
      assert.equal(hosts.routes().length, 3);
      hosts.startBird([THEIR_BLOCK]);
      await hosts.established(30_000);
      await hosts.routesAre([blackhole, via(THEIR_BLOCK)]);
    });
    assert.deepEqual(
      deleted.map((line) => line.split(' ')[1]),
      [ANOTHER],
    );
  });

  test('our speaker is killed and starts again: BIRD keeps our block, and so does its kernel', async () => {
    const inKernel = () => run(['ip', '-n', hosts.right, 'route', 'show', OUR_BLOCK]);
    await eventually('BIRD has our block', () => inKernel().includes(OURS));
    const deleted = await hosts.watching(hosts.right, async () => {
      await hosts.killSpeaker();
      const shown = () => hosts.birdc('show', 'protocols', 'all', 'ours');
      await eventually('BIRD waits for us', () => /Restart timer|restart/i.test(shown()));
      assert(inKernel().includes(OURS));
      hosts.startSpeaker();
      await hosts.established(30_000);
      const routes = () => hosts.birdc('show', 'route', 'all', OUR_BLOCK);
      await eventually('our block is fresh again', () => routes().includes(OURS));
    });
    assert.deepEqual(deleted, []);
  });

  /** What we say of our forwarding state in the OPEN that BIRD has heard. */
  const preserved = (): string => {
    const shown = hosts.birdc('show', 'protocols', 'all', 'ours');
    const ours = shown.slice(shown.indexOf('Neighbor capabilities'));
    return /AF preserved: *(.*)/.exec(ours)?.[1] ?? '';
  };

  test('the restart is told as one that kept the routes; after a reboot it is not', async () => {
    assert.match(preserved(), /ipv4/);
    await hosts.killSpeaker();
    run(['ip', '-n', hosts.left, 'route', 'flush', 'proto', 'bird']);
    hosts.startSpeaker();
    await hosts.established(30_000);
    assert.doesNotMatch(preserved(), /ipv4/);
    await hosts.routesAre([blackhole, via(THEIR_BLOCK)]);
  });

  test('1,000 packets a second both ways: none is lost, whoever is killed and starts again', async () => {
    const told = async (): Promise<void> => {
      const known = async () => (await hosts.dump()).some((line) => line.includes(THEIR_BLOCK));
      await hosts.established(30_000);
      await eventually('BIRD has told its block', known);
    };
    const lost = await underTraffic(hosts, async () => {
      await hosts.killSpeaker();
      hosts.startSpeaker();
      await told();
      await hosts.end(hosts.bird);
      hosts.startBird([THEIR_BLOCK]);
      const gone = async () => (await hosts.state()).peers[0]?.state !== 'established';
      await eventually('the session is gone', gone);
      await told();
      await hosts.routesAre([blackhole, via(THEIR_BLOCK)]);
    });
    assert.deepEqual(lost, []);
  });

  test('1,000 packets a second both ways: none is lost over several restarts within the restart time', async () => {
    const lost = await underTraffic(hosts, async () => {
      for (let i = 0; i < 3; i++) {
        const before = hosts.updatesImported();
        await hosts.killSpeaker();
        hosts.startSpeaker();
        // Killed again as soon as BIRD has our block anew: a route that is still stale from the last
        // time goes with the session (RFC 4724 section 4.2, consecutive restarts).
        const anew = () => hosts.updatesImported() > before;
        await eventually('BIRD is told our block again', anew, 30_000);
      }
      await hosts.routesAre([blackhole, via(THEIR_BLOCK)]);
      const fresh = async () => {
        const paths = (await hosts.table()).flatMap((route) => route.paths);
        return paths.length > 1 && paths.every(({ stale }) => !stale);
      };
      await eventually('all is told', fresh);
    });
    assert.deepEqual(lost, []);
  });

  test('BIRD stays away: its routes go when the restart time is over', async () => {
    await hosts.end(hosts.bird);
    await hosts.routesAre([blackhole, via(THEIR_BLOCK)]);
    await hosts.routesAre([blackhole], 30_000);
  });
});
