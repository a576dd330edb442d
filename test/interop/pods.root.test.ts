// Pods that speak BGP to their node (BGPPeer `localWorkloadSelector`): BIRD with both families in one,
// GoBGP that only listens in another, and a top-of-rack router that hears of what they lead to.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { attempt, eventually, run, runAsync } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const OURS = '10.77.9.1';
const RACK = '10.77.9.2';
const [V4, V6] = ['169.254.0.179', 'fd12:3456:789a::1'] as const;
const RED = { v4: '192.168.1.5', v6: 'fd80:24::5' } as const;
const BLUE = { v4: '192.168.1.6', v6: 'fd80:24::6' } as const;
const CHILD = { v4: '10.123.0.0/26', v6: 'ca11:c0::/96', host: '10.123.0.1' } as const;
const NODE_ASN = 64512;

interface PodAddresses {
  readonly v4: string;
  readonly v6: string;
}

class NodeWithPods extends TwoHosts {
  readonly control = `${this.directory}/rack.ctl`;
  readonly podControl = `${this.directory}/red.ctl`;
  private readonly pods = new Set<string>();

  constructor() {
    super({ ours: OURS, theirs: RACK });
    this.removeResource('nodes', 'theirs');
    this.configure({ localWorkloadPeeringIPV4: V4, localWorkloadPeeringIPV6: V6 });
    for (const family of ['ipv4.ip_forward', 'ipv6.conf.all.forwarding'])
      this.inLeft(['sysctl', '-qw', `net.${family}=1`]);
    // A proxy answers for 169.254.1.1 where a route leads elsewhere.
    run(['ip', '-n', this.left, 'route', 'add', 'default', 'via', RACK]);
  }

  configure(more: object): void {
    const spec = { nodeToNodeMeshEnabled: false, asNumber: NODE_ASN, ...more };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
  }

  netns(pod: string): string {
    return `${this.left}-${pod}`;
  }

  inLeft(argv: readonly string[]): string {
    return run(['ip', 'netns', 'exec', this.left, ...argv]);
  }

  inPod(pod: string, argv: readonly string[]): string {
    return run(['ip', 'netns', 'exec', this.netns(pod), ...argv]);
  }

  /** As CNI ADD wires a pod: a /32, and a gateway that no interface has. */
  addPod(pod: string, { v4, v6 }: PodAddresses): void {
    const [netns, host] = [this.netns(pod), `cali${pod}`];
    this.pods.add(netns);
    run(['ip', 'netns', 'add', netns]);
    const [left, inside] = [
      ['ip', '-n', this.left],
      ['ip', '-n', netns],
    ] as const;
    run([...inside, 'link', 'set', 'lo', 'up']);
    run([
      ...[...left, 'link', 'add', host, 'type', 'veth'],
      ...['peer', 'name', 'eth0', 'netns', netns],
    ]);
    run([...inside, 'link', 'set', 'eth0', 'up']);
    this.inLeft(['sysctl', '-qw', `net.ipv4.conf.${host}.proxy_arp=1`]);
    this.inLeft(['sysctl', '-qw', `net.ipv4.neigh.${host}.proxy_delay=0`]);
    run([...left, 'link', 'set', host, 'up']);
    run([...inside, 'addr', 'add', `${v4}/32`, 'dev', 'eth0']);
    run([...inside, 'addr', 'add', `${v6}/128`, 'dev', 'eth0', 'nodad']);
    run([...inside, 'route', 'add', '169.254.1.1', 'dev', 'eth0', 'scope', 'link']);
    run([...inside, 'route', 'add', 'default', 'via', '169.254.1.1', 'dev', 'eth0']);
    const [linkLocal] = /fe80::[0-9a-f:]+/.exec(run([...left, '-6', 'addr', 'show', host])) ?? [];
    run([...inside, '-6', 'route', 'add', 'default', 'via', linkLocal!, 'dev', 'eth0']);
    this.routePod(pod, { v4 });
    run([...left, '-6', 'route', 'add', v6, 'dev', host]);
    this.labelPod(pod, { v4, v6 }, pod);
  }

  routePod(pod: string, { v4 }: Pick<PodAddresses, 'v4'>): void {
    run(['ip', '-n', this.left, 'route', 'add', v4, 'dev', `cali${pod}`, 'scope', 'link']);
  }

  labelPod(pod: string, { v4, v6 }: PodAddresses, color: string): void {
    const ipNetworks = [`${v4}/32`, `${v6}/128`];
    const more = { pod, interfaceName: `cali${pod}`, ipNetworks };
    this.putPod(pod, v4, more, { color });
  }

  removeNetns(pod: string): void {
    run(['ip', 'netns', 'del', this.netns(pod)]);
    this.pods.delete(this.netns(pod));
  }

  startBird(): void {
    const session = (family: 'ipv4' | 'ipv6', neighbor: string) => `
protocol bgp node_${family} {
  local as 65401; neighbor ${neighbor} as ${NODE_ASN}; multihop; hold time 9;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ${family} { import all; export where source = RTS_STATIC; next hop self; };
}`;
    const config = this.file(
      'red.conf',
      `router id ${RED.v4};
protocol device { scan time 1; }
protocol static { ipv4; route ${CHILD.v4} blackhole; route 192.168.9.0/26 blackhole;
  route 0.0.0.0/0 blackhole; route ${RACK}/32 blackhole; }
protocol static { ipv6; route ${CHILD.v6} blackhole; }
${session('ipv4', V4)}
${session('ipv6', V6)}
`,
    );
    this.spawnIn(this.netns('red'), ['bird', '-f', '-c', config, '-s', this.podControl]);
  }

  /** Listens only: it is we who connect. */
  startGobgp(): void {
    const config = this.file(
      'blue.toml',
      `[global.config]
as = 65402
router-id = "${BLUE.v4}"
[[neighbors]]
[neighbors.config]
neighbor-address = "${V4}"
peer-as = ${NODE_ASN}
[neighbors.transport.config]
passive-mode = true
`,
    );
    this.spawnIn(this.netns('blue'), ['gobgpd', '-f', config, '--api-hosts', '127.0.0.1:50051']);
  }

  startRack(): void {
    const config = this.file(
      'rack.conf',
      `router id ${RACK};
protocol device { scan time 1; }
protocol kernel { ipv4 { export all; }; }
protocol bgp node { local ${RACK} as 65001; neighbor ${OURS} as ${NODE_ASN}; hold time 9;
  connect delay time 1; connect retry time 1; ipv4 { import all; export none; }; }
`,
    );
    this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdc(control: string, command: string): string {
    return run(['birdc', '-s', control, ...command.split(' ')]);
  }

  /** What ping from the rack says at its end. */
  pingMeanwhile(argv: readonly string[]): Promise<string> {
    return runAsync(['ip', 'netns', 'exec', this.right, 'ping', ...argv]);
  }

  async sessions(): Promise<string> {
    const { peers } = await this.state();
    const words = peers
      .filter(({ name }) => name.startsWith('Local_Workload_'))
      .map(({ name, state }) => `${name.slice('Local_Workload_'.length)} ${state}`);
    return words.toSorted().join(', ');
  }

  /** Peering addresses by link. */
  addresses(): string {
    const lines = this.inLeft(['ip', '-o', 'addr', 'show']).split('\n');
    return lines
      .flatMap(
        (line) => /(cali\S+)\s+inet6? (\S+) scope (\w+)/.exec(line)?.slice(1).join(' ') ?? [],
      )
      .filter((words) => !words.includes('fe80'))
      .toSorted()
      .join(', ');
  }

  override async close(): Promise<void> {
    await super.close();
    for (const netns of this.pods) attempt(['ip', 'netns', 'del', netns]);
  }
}

const peer = (color: string, asNumber: number) => ({
  localWorkloadSelector: `color == '${color}'`,
  asNumber,
});
const RED_UP = `${RED.v4.replaceAll('.', '_')} established`;
const BOTH_RED = `${RED_UP}, fd80_24__5 established`;
const viaRed = `${CHILD.v4} via ${RED.v4} dev calired`;
const blackhole = `blackhole ${OUR_BLOCK}`;

describe('pods as BGP peers', { timeout: 120_000 }, () => {
  let host: NodeWithPods;
  before(async () => {
    host = new NodeWithPods();
    host.addPod('red', RED);
    host.addPod('blue', BLUE);
    host.putResource('bgppeers', 'BGPPeer', 'red', peer('red', 65401));
    host.putResource('bgpfilters', 'BGPFilter', 'child', {
      exportV4: [
        { cidr: '10.123.0.0/16', matchOperator: 'In', source: 'RemotePeers', action: 'Accept' },
      ],
    });
    const rack = { node: 'ours', peerIP: RACK, asNumber: 65001, filters: ['child'] };
    host.putResource('bgppeers', 'BGPPeer', 'rack', rack);
    host.startBird();
    host.startGobgp();
    host.startRack();
    host.startSpeaker();
  });
  after(() => host?.close());

  test('the selected pod has a session of each family, with an address that only its link has', async () => {
    const up = async () => (await host.sessions()) === BOTH_RED;
    await eventually('sessions', up, 20_000);
    assert.equal(host.addresses(), `calired ${V4}/32 link, calired ${V6}/128 global`);
  });

  test('what it leads to is in the kernel; the pool, the rack and the default route are not', async () => {
    await host.routesAre([blackhole, viaRed]);
    await eventually('IPv6', () =>
      host.inLeft(['ip', '-6', 'route']).includes(`${CHILD.v6} via ${RED.v6} dev calired`),
    );
    const [path] = (await host.table()).find(({ prefix }) => prefix === '192.168.9.0/26')!.paths;
    assert.deepEqual(
      [path?.rank, path?.why],
      ['unusable', 'not accepted: rejected by a BGPFilter'],
    );
  });

  test('it is told of our block, by the address that it speaks to', async () => {
    const show = () => host.birdc(host.podControl, `show route ${OUR_BLOCK} all`);
    const text = await eventually('our block', () => (/BGP/.test(show()) ? show() : undefined));
    assert.match(text, new RegExp(`BGP.next_hop: ${V4}`));
  });

  test('the rack hears what the filter lets out, by our node, and gets through to it', async () => {
    const show = () => host.birdc(host.control, `show route ${CHILD.v4} all`);
    const text = await eventually('the child', () => (/BGP/.test(show()) ? show() : undefined));
    assert.match(text, new RegExp(`BGP.next_hop: ${OURS}`));
    assert.match(text, /BGP.as_path: 64512 65401/);
    host.inPod('red', ['ip', 'addr', 'add', `${CHILD.host}/32`, 'dev', 'lo']);
    await eventually('a reply', () =>
      host.inRight(['ping', '-c', '1', '-W', '1', CHILD.host]).includes('1 received'),
    );
  });

  test('a speaker that only listens is connected to', async () => {
    host.putResource('bgppeers', 'BGPPeer', 'blue', peer('blue', 65402));
    const want = `${RED_UP}, 192_168_1_6 established`;
    const up = async () => (await host.sessions()).startsWith(want);
    await eventually('both pods', up, 20_000);
  });

  test('killed and started again: no packet is lost, and the addresses are there', async () => {
    const pinger = ['-i', '0.01', '-c', '400', '-q', CHILD.host];
    const lost = host.pingMeanwhile(pinger);
    await host.killSpeaker();
    host.startSpeaker();
    const all = `${RED_UP}, 192_168_1_6 established, fd80_24__5 established`;
    await eventually('sessions', async () => (await host.sessions()).startsWith(all), 30_000);
    assert.match(await lost, /400 packets transmitted, 400 received/);
    await host.routesAre([blackhole, viaRed]);
  });

  test('an address that somebody takes away comes back', async () => {
    host.inLeft(['ip', 'addr', 'del', `${V4}/32`, 'dev', 'calired']);
    await eventually('the address', () => host.addresses().includes(`calired ${V4}/32 link`));
    // With a link's last address the kernel drops its routes.
    host.routePod('red', RED);
  });

  test('relabelled: session, routes and address go; the other pod stays up', async () => {
    host.labelPod('red', RED, 'green');
    await host.routesAre([blackhole]);
    await eventually('its address', () => !host.addresses().includes('calired'));
    assert.match(await host.sessions(), /^192_168_1_6 established, fd80_24__6 \w+$/);
    host.labelPod('red', RED, 'red');
    await host.routesAre([blackhole, viaRed], 20_000);
  });

  test('a pod that is gone leaves nothing behind', async () => {
    host.removeNetns('red');
    host.removePod('red');
    await host.routesAre([blackhole]);
    assert.doesNotMatch(await host.sessions(), /192_168_1_5/);
  });

  test('without the peering address: refused by name, and nothing stays on the links', async () => {
    host.configure({});
    const told = async () => (await host.state()).refused.join('\n');
    await eventually('told', async () => /BGPPeer blue: .* has neither/.test(await told()));
    await eventually('addresses', () => host.addresses() === '');
    assert.equal(await host.sessions(), '');
  });
});
