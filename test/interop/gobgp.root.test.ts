// Our speaker against GoBGP: another implementation, another AS, a number of four octets.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lab/command.ts';
import { OUR_BLOCK, THEIR_BLOCK, TwoHosts } from './two-hosts.ts';

const [OURS, THEIRS, THEIR_ASN] = ['10.77.1.2', '10.77.1.1', 4200000000];

class GobgpHost extends TwoHosts {
  startGobgp(): void {
    const config = this.file(
      'gobgpd.toml',
      `[global.config]
as = ${THEIR_ASN}
router-id = "${THEIRS}"
[[neighbors]]
[neighbors.config]
neighbor-address = "${OURS}"
peer-as = 64512
[neighbors.timers.config]
connect-retry = 1
hold-time = 9
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "ipv4-unicast"
`,
    );
    this.startDaemon(['gobgpd', '-f', config, '--api-hosts', '127.0.0.1:50051']);
  }

  gobgp(command: string): string {
    return this.inRight(['gobgp', ...command.split(' ')]);
  }
}

describe('GoBGP in another AS', () => {
  let hosts: GobgpHost;
  const blackhole = `blackhole ${OUR_BLOCK}`;
  const theirRoute = `${THEIR_BLOCK} via ${THEIRS} dev eth0`;
  before(async () => {
    hosts = new GobgpHost({ ours: OURS, theirs: THEIRS, theirAsn: THEIR_ASN, holdTimeSeconds: 9 });
    hosts.startGobgp();
    hosts.startSpeaker();
    await hosts.established(30_000);
  });
  after(() => hosts?.close());

  test('routes both ways, with the AS path of eBGP', async () => {
    hosts.gobgp(`global rib add ${THEIR_BLOCK}`);
    await hosts.routesAre([blackhole, theirRoute]);
    const seen = await eventually('GoBGP has our block', () => {
      const rib = hosts.gobgp('global rib');
      return rib.includes(OUR_BLOCK) ? rib : undefined;
    });
    assert.match(seen, new RegExp(`${OUR_BLOCK} +${OURS} +64512 `));
  });

  test('attributes of every kind are survived', async () => {
    const attributes =
      'origin egp aspath 65001,65002 community 100:200 med 10 large-community 1:2:3';
    hosts.gobgp(`global rib add 192.168.3.0/26 ${attributes}`);
    const another = `192.168.3.0/26 via ${THEIRS} dev eth0`;
    await hosts.routesAre([blackhole, another, theirRoute]);
  });

  test('a path with our own AS in it is refused, also in place of a good one', async () => {
    hosts.gobgp('global rib add 192.168.3.0/26 aspath 64512');
    await hosts.routesAre([blackhole, theirRoute]);
  });

  test('withdrawals both ways', async () => {
    hosts.gobgp(`global rib del ${THEIR_BLOCK}`);
    await hosts.routesAre([blackhole]);
    hosts.disownBlock(OUR_BLOCK);
    await hosts.routesAre([]);
    await eventually('GoBGP lost our block', () => !hosts.gobgp('global rib').includes(OUR_BLOCK));
  });
});
