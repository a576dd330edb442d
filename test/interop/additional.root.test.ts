// Routes and addresses of the node's own that the settings let it tell, as BIRD hears of them.
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS] = ['10.79.2.1', '10.79.2.2'];
const WITHIN = '10.99.0.0/16';

class Host extends TwoHosts {
  private readonly control = `${this.directory}/bird.ctl`;

  startBird(): void {
    const config = this.file(
      'bird.conf',
      `router id ${THEIRS};
protocol device { scan time 1; }
protocol bgp ours {
  local ${THEIRS} as 64512;
  neighbor ${OURS} as 64512;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export none; };
}
`,
    );
    this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  async birdHas(...prefixes: readonly string[]): Promise<void> {
    const wanted = [OUR_BLOCK, ...prefixes].toSorted().join();
    let found = '';
    const has = (): boolean => {
      const text = run(['birdc', '-s', this.control, 'show', 'route']);
      found = [...text.matchAll(/^(\d\S*\/\d+)/gm)]
        .map(([, prefix]) => prefix)
        .toSorted()
        .join();
      return found === wanted;
    };
    await eventually(`BIRD has ${wanted}`, has, 10_000).catch((cause: unknown) => {
      throw new Error(`${String(cause)}; it has ${found}`);
    });
  }

  ip(...words: readonly string[]): void {
    run(['ip', '-n', this.left, ...words]);
  }

  announce(prefixes: string): void {
    const annotations = { 'calico-kit.io/additional-cidrs': prefixes };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', {}, annotations);
  }
}

describe('additional prefixes, with BIRD', () => {
  let host: Host;
  before(async () => {
    host = new Host({ ours: OURS, theirs: THEIRS });
    host.startBird();
    host.ip('link', 'add', 'own', 'type', 'veth', 'peer', 'name', 'end');
    host.ip('link', 'set', 'end', 'up');
    host.ip('link', 'set', 'own', 'up');
    host.ip('addr', 'add', '10.99.1.1/24', 'dev', 'own');
    host.ip('addr', 'add', '10.98.1.1/24', 'dev', 'own');
    host.startSpeaker();
    await host.established(30_000);
  });
  after(() => host?.close());

  test('nothing of links is told before it is asked for', () => host.birdHas());

  test('a network of a link and the address in it; nothing outside the prefix', async () => {
    host.announce(WITHIN);
    await host.birdHas('10.99.1.0/24', '10.99.1.1/32');
  });

  test('a route that comes and goes, and a link that goes down', async () => {
    host.ip('route', 'add', '10.99.7.0/24', 'via', '10.99.1.9');
    await host.birdHas('10.99.1.0/24', '10.99.1.1/32', '10.99.7.0/24');
    host.ip('route', 'del', '10.99.7.0/24');
    await host.birdHas('10.99.1.0/24', '10.99.1.1/32');
    host.ip('link', 'set', 'own', 'down');
    await host.birdHas('10.99.1.1/32');
    host.ip('link', 'set', 'own', 'up');
    await host.birdHas('10.99.1.0/24', '10.99.1.1/32');
  });

  test('the prefix leaves the settings, and all with it', async () => {
    host.announce('');
    await host.birdHas();
  });
});
