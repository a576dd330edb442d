// Several paths to one prefix (RFC 7911) with BIRD: two of them come over one session and share our
// traffic; two that we learned from two routers go out over one session, and come and go one by one.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const OURS = '10.77.7.1';
const [LISTENER, FIRST, SECOND] = ['10.77.7.2', '10.77.7.3', '10.77.7.4'] as const;
/** Told twice over one session by LISTENER; told once each by the two others. */
const TWICE = '172.20.0.0/16';
const SHARED = '192.168.9.0/26';

class Paths extends TwoHosts {
  private readonly control = `${this.directory}/bird.ctl`;

  constructor() {
    super({ ours: OURS, theirs: LISTENER });
    for (const address of [FIRST, SECOND])
      run(['ip', '-n', this.right, 'addr', 'add', `${address}/24`, 'dev', 'eth0']);
    this.removeResource('nodes', 'theirs');
    const spec = { nodeToNodeMeshEnabled: false, asNumber: 64512 };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
    // Reflected: what comes from routers inside the AS goes on inside it.
    const bgp = { ipv4Address: `${OURS}/24`, routeReflectorClusterID: '1.0.0.1' };
    this.putResource('nodes', 'Node', 'ours', { bgp });
    for (const [i, peerIP] of [LISTENER, FIRST, SECOND].entries())
      this.putResource('bgppeers', 'BGPPeer', `p${i}`, { node: 'ours', peerIP, asNumber: 64512 });
  }

  startBird(): void {
    // Each router has a table of its own: BIRD is three routers.
    // And has one session to an address and port; where it only listens, the port means nothing.
    const router = (name: string, local: string, port: number, more: string) => `
protocol bgp ${name} {
  router id ${local};
  local ${local} as 64512; neighbor ${OURS} port ${port} as 64512; passive on; strict bind on; hold time 9;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { table ${name}_table; ${more} import all; export where source = RTS_STATIC; next hop keep; };
}`;
    const shared = (name: string, local: string) => `
protocol static ${name}_shared {
  ipv4 { table ${name}_table; };
  route ${SHARED} via ${local};
}`;
    const twice = [FIRST, SECOND].map(
      (hop, i) => `
protocol static twice${i} { ipv4 { table listener_table; }; route ${TWICE} via ${hop}; }`,
    );
    const config = this.file(
      'bird.conf',
      `router id ${LISTENER};
protocol device { scan time 1; }
protocol direct { ipv4; }
${['listener', 'rack1', 'rack2'].map((name) => `ipv4 table ${name}_table;`).join('\n')}
${router('listener', LISTENER, 179, 'add paths on;')}
${twice.join('')}
${router('rack1', FIRST, 1179, '')}
${router('rack2', SECOND, 1180, '')}
${shared('rack1', FIRST)}
${shared('rack2', SECOND)}
`,
    );
    this.startDaemon(['bird', '-f', '-c', config, '-s', this.control]);
  }

  birdc(...command: readonly string[]): string {
    return run(['birdc', '-s', this.control, ...command]);
  }

  /** Next hops of the listener's paths to a prefix, as we told them. */
  heardHops(prefix: string): readonly string[] {
    const shown = this.birdc('show', 'route', 'all', 'table', 'listener_table', prefix);
    const ours = shown
      .split(/(?=^\S*\s+(?:unicast|unreachable) )/m)
      .filter((part) => part.includes('[listener '));
    return ours.flatMap((part) => /BGP\.next_hop: (\S+)/.exec(part)?.[1] ?? []).toSorted();
  }
}

describe('add-path with BIRD', { timeout: 120_000 }, () => {
  let hosts: Paths;
  before(async () => {
    hosts = new Paths();
    hosts.startBird();
    hosts.startSpeaker();
    const up = async () =>
      (await hosts.state()).peers.filter(({ state }) => state === 'established').length === 3;
    await eventually('three sessions', up, 30_000);
  });
  after(() => hosts?.close());

  /** Our kernel's route to a prefix, in one line. */
  const route = (prefix: string): string =>
    run(['ip', '-n', hosts.left, 'route', 'show', prefix, 'proto', 'bird'])
      .replace(/\s+/g, ' ')
      .trim();
  const hops = (prefix: string): readonly string[] =>
    [...route(prefix).matchAll(/via (\S+)/g)].map(([, hop]) => hop!).toSorted();
  const pathsOf = async (prefix: string) =>
    (await hosts.table()).find((entry) => entry.prefix === prefix)?.paths ?? [];

  test('both ways of it, agreed', () => {
    const shown = hosts.birdc('show', 'protocols', 'all', 'listener');
    const ours = shown.slice(shown.indexOf('Neighbor capabilities'));
    assert.match(ours, /ADD-PATH\s+RX: ipv4\s+TX: ipv4/);
  });

  test('two paths over one session: both are held, and share the traffic', async () => {
    await eventually('two next hops', () => hops(TWICE).length === 2);
    assert.deepEqual(hops(TWICE), [FIRST, SECOND]);
    const paths = await pathsOf(TWICE);
    assert.deepEqual(
      paths.map(({ peer, rank }) => [peer, rank]),
      [
        ['Node_10_77_7_2', 'best'],
        ['Node_10_77_7_2', 'equal'],
      ],
    );
  });

  test('one of them is withdrawn: the other stays; it comes back', async () => {
    hosts.birdc('disable', 'twice0');
    await eventually('one next hop', () => hops(TWICE).join() === SECOND);
    assert.equal((await pathsOf(TWICE)).length, 1);
    hosts.birdc('enable', 'twice0');
    await eventually('two next hops', () => hops(TWICE).join() === `${FIRST},${SECOND}`);
  });

  test('two routers tell the same prefix: the peer with add-path hears both, the others one', async () => {
    await eventually('both', () => hosts.heardHops(SHARED).join() === `${FIRST},${SECOND}`);
    // What one session has heard says nothing of the others.
    const table = (rack: string) =>
      hosts.birdc('show', 'route', 'all', 'table', `${rack}_table`, SHARED);
    const told = () => [...table('rack2').matchAll(/\[rack2 /g)].length;
    await eventually('rack2 is told', () => told() > 0);
    const second = table('rack2');
    assert.equal(told(), 1);
    assert.doesNotMatch(table('rack1'), /\[rack1 /, 'nobody hears of his own path');
    await eventually('ours', () => [...hosts.heardHops(OUR_BLOCK)].join() === OURS);
    // RFC 4456: whose it was, and through which cluster it came.
    assert.match(second, new RegExp(`BGP.originator_id: ${FIRST}\\s+BGP.cluster_list: 1.0.0.1`));
  });

  test('one of the two goes: its path alone is withdrawn; a refresh changes nothing', async () => {
    hosts.birdc('disable', 'rack1_shared');
    await eventually('one', () => hosts.heardHops(SHARED).join() === SECOND);
    hosts.birdc('enable', 'rack1_shared');
    await eventually('both', () => hosts.heardHops(SHARED).join() === `${FIRST},${SECOND}`);
    const sent = async () =>
      (await hosts.state()).peers.find(({ address }) => address === LISTENER)!.refreshes.sent;
    const before = await sent();
    hosts.birdc('reload', 'in', 'listener');
    await eventually('begin and end', async () => (await sent()) === before + 2);
    await eventually('both', () => hosts.heardHops(SHARED).join() === `${FIRST},${SECOND}`);
  });
});
