// BIRD as the route reflector between us and another router (RFC 4456). (We as the reflector of BIRD:
// add-path.root.test.ts; of and by FRR and GoBGP: three.root.test.ts.)
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../lab/command.ts';
import { OUR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, REFLECTOR, OTHER] = ['10.77.11.1', '10.77.11.2', '10.77.11.3'] as const;
const OTHERS_BLOCK = '192.168.3.0/26';
const CLUSTER = '2.0.0.2';

class Reflected extends TwoHosts {
  private readonly control = `${this.directory}/other.ctl`;

  constructor() {
    super({ ours: OURS, theirs: REFLECTOR, holdTimeSeconds: 9 });
    run(['ip', '-n', this.right, 'addr', 'add', `${OTHER}/24`, 'dev', 'eth0']);
    this.removeResource('nodes', 'theirs');
    const spec = { nodeToNodeMeshEnabled: false, asNumber: 64512 };
    this.putResource('bgpconfigurations', 'BGPConfiguration', 'default', spec);
    const peer = { node: 'ours', peerIP: REFLECTOR, asNumber: 64512 };
    this.putResource('bgppeers', 'BGPPeer', 'reflector', peer);
  }

  startBirds(): void {
    const session = (local: string, neighbour: string, more: string, told: string) => `
protocol bgp {
  local ${local} as 64512; neighbor ${neighbour} as 64512; strict bind on; ${more} hold time 9;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 { import all; export where source = ${told}; };
}`;
    const begin = (id: string) =>
      `router id ${id}; protocol device { scan time 1; } protocol direct { ipv4; }`;
    const client = `rr client; rr cluster id ${CLUSTER};`;
    const reflector = this.file(
      'reflector.conf',
      `${begin(REFLECTOR)}
${session(REFLECTOR, OURS, client, 'RTS_BGP')}
${session(REFLECTOR, OTHER, `${client} passive on;`, 'RTS_BGP')}
`,
    );
    const other = this.file(
      'other.conf',
      `${begin(OTHER)}
protocol static { ipv4; route ${OTHERS_BLOCK} blackhole { bgp_community.add((65001,200)); }; }
${session(OTHER, REFLECTOR, '', 'RTS_STATIC')}
`,
    );
    const control = `${this.directory}/reflector.ctl`;
    this.startDaemon(['bird', '-f', '-c', reflector, '-s', control]);
    this.startDaemon(['bird', '-f', '-c', other, '-s', this.control]);
  }

  shown(prefix: string): string {
    const text = run(['birdc', '-s', this.control, 'show', 'route', 'all', prefix]);
    return /Network not found/.test(text) ? '' : text;
  }
}

describe('BIRD reflects between another router and us', { timeout: 60_000 }, () => {
  let hosts: Reflected;
  before(async () => {
    hosts = new Reflected();
    hosts.startBirds();
    hosts.startSpeaker();
    await hosts.established(30_000);
  });
  after(() => hosts?.close());

  test('its block is in our kernel by way of itself, with its communities', async () => {
    await hosts.routesAre([`blackhole ${OUR_BLOCK}`, `${OTHERS_BLOCK} via ${OTHER} dev eth0`]);
    const [path] = (await hosts.table()).find(({ prefix }) => prefix === OTHERS_BLOCK)?.paths ?? [];
    assert.deepEqual(path?.communities, ['65001:200']);
    assert.equal(path?.peer, 'Node_10_77_11_2');
  });

  test('ours is with it: our next hop, our router id as originator, and the cluster', async () => {
    const text = await eventually('our block', () => hosts.shown(OUR_BLOCK));
    assert.match(text, new RegExp(`BGP.next_hop: ${OURS}`));
    assert.match(text, new RegExp(`BGP.originator_id: ${OURS}`));
    assert.match(text, new RegExp(`BGP.cluster_list: ${CLUSTER}`));
  });
});
