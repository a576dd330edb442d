// IP-in-IP on a kernel that has it: the slides' routing tables, traffic, repair, modes that change live,
// and packets of strangers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from '../../lab/command.ts';
import { restarts } from '../../lab/restarts.ts';
import { Hosts } from '../../lab/three-hosts.ts';
import { echoesOf, receivedBy, sendBytes, tried } from '../../lab/traffic.ts';
import { damages } from './damages.ts';
import { forgeries } from './forged.ts';
import { moves } from './moves.ts';

const MEGABYTE = 1 << 20;

describe('IP-in-IP', { timeout: 1_500_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    hosts = await Hosts.open({ ipipMode: 'Always' });
    hosts.allowEverybody(); // else a pod hears pods of its network alone
  });
  after(() => hosts?.close());

  test('tunl0 is up with MTU 1480 and an address of an own block, which the Node tells', async () => {
    for (const index of [0, 1, 2]) {
      const shown = () => hosts.host(index).exec(['ip', '-o', 'addr', 'show', 'dev', 'tunl0']);
      await eventually(`tunl0 of host ${index} has an address`, () => shown().includes('inet '));
      const link = hosts.host(index).exec(['ip', 'link', 'show', 'dev', 'tunl0']);
      assert.match(link, /UP/);
      assert.match(link, /mtu 1480 /);
      const address = hosts.node(index).spec.bgp?.['ipv4IPIPTunnelAddr'];
      assert.match(shown(), new RegExp(`inet ${address}/32 scope global tunl0`));
      const prefix = hosts.blockOf(index).replace(/\d+\/26$/, '');
      assert.ok(address?.startsWith(prefix), `${address} is not in ${hosts.blockOf(index)}`);
    }
    const address = hosts.node(1).spec.bgp?.['ipv4IPIPTunnelAddr'] ?? '';
    const held = hosts.calicoKit('ipam', 'show', `--ip=${address}`);
    assert.match(held, /Handle ID: ipip-tunnel-addr-h2.*type: ipipTunnelAddress/s);
    hosts.audit();
  });

  test('two nodes of one subnet have the slides’ routing tables, line for line', async () => {
    for (const [here, there] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const pod = hosts.pod(here).ip;
      const routes = hosts.routes(here);
      const calico = routes.find((line) => line.startsWith(`${pod} `));
      const link = /dev (cali[0-9a-f]{11}) /.exec(calico ?? '')?.[1];
      const tunnels = (index: number) =>
        `${hosts.blockOf(index)} via ${hosts.addressOf(index)} dev tunl0 proto bird onlink`;
      const expected = [
        'default via 10.201.0.1 dev eth0',
        `10.201.0.0/24 dev eth0 proto kernel scope link src ${hosts.addressOf(here)}`,
        `blackhole ${hosts.blockOf(here)} proto bird`,
        `${pod} dev ${link} scope link`,
        tunnels(there),
        tunnels(2),
      ].toSorted();
      await eventually(
        `host ${here} has ${expected.join(' | ')}, not ${hosts.routes(here).join(' | ')}`,
        () => hosts.routes(here).toSorted().join('\n') === expected.join('\n'),
      );
    }
  });

  test('pods reach each other through the tunnel, with an MTU of 1480, and 10 MB pass', async () => {
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ] as const)
      await hosts.ping(from, to);
    const [client, server] = [hosts.pod(0), hosts.pod(1)];
    assert.match(run(['ip', '-n', client.netns, 'link', 'show', 'dev', 'eth0']), /mtu 1480 /);
    const before = receivedBy(hosts.host(1).netns, 'tunl0');
    assert.equal(await sendBytes(client.netns, server, 10 * MEGABYTE), 10 * MEGABYTE);
    const received = receivedBy(hosts.host(1).netns, 'tunl0') - before;
    assert.ok(received > 10 * MEGABYTE, `${received} octets through the tunnel`);
    assert.ok(tried(client.netns, 'ping', '-c1', '-W2', '-Mdo', '-s1452', server.ip));
    assert.ok(!tried(client.netns, 'ping', '-c1', '-W2', '-Mdo', '-s1453', server.ip));
  });

  test('a host reaches pods of other hosts from its tunnel address', async () => {
    const { ip } = hosts.pod(1);
    const tunnel = hosts.node(0).spec.bgp?.['ipv4IPIPTunnelAddr'];
    await eventually(`host 0 reaches ${ip}`, () =>
      tried(hosts.host(0).netns, 'ping', '-c1', '-W2', ip),
    );
    const route = hosts.host(0).exec(['ip', 'route', 'get', ip]);
    assert.match(route, new RegExp(`dev tunl0 src ${tunnel}`));
  });

  damages(() => hosts, 'kernel');
  restarts(() => hosts, [1, 2]);

  test('IP-in-IP of a stranger, and of a pod, reaches nobody', async () => {
    const victim = hosts.pod(0);
    const stranger = hosts.stranger('10.201.0.99');
    const inject = (netns: string, source: string): number => {
      const way = ['mode', 'ipip', 'remote', hosts.addressOf(0), 'local', source];
      run(['ip', '-n', netns, 'tunnel', 'add', 'spoof', ...way]);
      run(['ip', '-n', netns, 'link', 'set', 'spoof', 'up']);
      run(['ip', '-n', netns, 'route', 'add', `${victim.ip}/32`, 'dev', 'spoof']);
      const before = echoesOf(victim.netns);
      tried(netns, 'ping', '-c3', '-i0.2', '-W1', victim.ip);
      run(['ip', '-n', netns, 'tunnel', 'delete', 'spoof']);
      return echoesOf(victim.netns) - before;
    };
    assert.equal(inject(stranger, '10.201.0.99'), 0, 'a stranger’s packets arrived');
    assert.equal(inject(hosts.pod(1).netns, hosts.pod(1).ip), 0, 'a pod’s packets arrived');
    run(['ip', 'netns', 'delete', stranger]);
    await hosts.ping(1, 0); // and what belongs here still does
  });

  forgeries(() => hosts);
  moves(() => hosts);

  test('CrossSubnet, live: plain within the subnet, through the tunnel beyond the router', async () => {
    hosts.setModes({ ipipMode: 'CrossSubnet' });
    const plain = `${hosts.blockOf(1)} via ${hosts.addressOf(1)} dev eth0 proto bird`;
    const tunnelled = `${hosts.blockOf(2)} via ${hosts.addressOf(2)} dev tunl0 proto bird onlink`;
    await eventually(`${plain}, ${tunnelled}, not ${hosts.routes(0).join(' | ')}`, () =>
      [plain, tunnelled].every((route) => hosts.routes(0).includes(route)),
    );
    await hosts.ping(0, 1);
    await hosts.ping(0, 2);
  });

  test('Never, live: addresses go back, no route leads to tunl0', async () => {
    hosts.setModes({ ipipMode: 'Never' });
    await eventually(`no tunnel in ${hosts.routes(0).join(' | ')}`, () =>
      [0, 1, 2].every((index) => !hosts.routes(index).some((route) => route.includes('tunl0'))),
    );
    await eventually('no Node tells of an address', () =>
      [0, 1, 2].every((index) => hosts.node(index).spec.bgp?.['ipv4IPIPTunnelAddr'] === undefined),
    );
    const shown = hosts.host(0).exec(['ip', '-o', 'addr', 'show', 'dev', 'tunl0']);
    assert.doesNotMatch(shown, /inet /);
    hosts.audit();
    await hosts.ping(0, 1);
  });
});
