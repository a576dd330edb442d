// A pool goes from IP-in-IP over VXLAN to plain routes while pods talk, on a kernel that has all three; the
// third host, behind the router, goes along as far as there is a way for it. The kernel makes no tunl0 of
// its own here: ours is a device like any other.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, machineMilliseconds, run } from '../../lab/command.ts';
import { Hosts } from '../../lab/three-hosts.ts';
import { Pinging, receivedBy, sendBytes, tried } from '../../lab/traffic.ts';
import { damages } from './damages.ts';

const HOSTS = [0, 1, 2] as const;
const DEVICE = 'vxlan.calico';
const MEGABYTE = 1 << 20;
/** 1: namespaces that are made from now on have no tunl0 of the kernel's. */
const NO_FALLBACK = 'net.core.fb_tunnels_only_for_init_net';

describe('from IP-in-IP over VXLAN to none', { timeout: 1_500_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    run(['sysctl', '-qw', `${NO_FALLBACK}=1`]);
    hosts = await Hosts.open({ ipipMode: 'Always', mtu: 1450 });
    hosts.allowEverybody();
  });
  after(async () => {
    await hosts?.close();
    run(['sysctl', '-qw', `${NO_FALLBACK}=0`]);
  });

  /** All hosts lead to the others' blocks over the device, and none by another way. */
  const over = (device: string, near: readonly number[] = HOSTS): Promise<unknown> =>
    Promise.all(
      near.map(async (index) => {
        for (const other of near.filter((one) => one !== index))
          await eventually(`host ${index}: ${device} in ${hosts.routes(index).join(' | ')}`, () =>
            hosts
              .routes(index)
              .some(
                (line) => line.startsWith(`${hosts.blockOf(other)} via `) && line.includes(device),
              ),
          );
      }),
    );
  let near: Pinging;

  test('our own tunl0 carries packets', async () => {
    await over('dev tunl0');
    assert.match(hosts.host(0).exec(['ip', '-d', 'link', 'show', 'tunl0']), /link\/ipip/);
    await hosts.ping(0, 1);
    await hosts.ping(0, 2);
  });

  damages(() => hosts, 'ours');

  test('to VXLAN: no more than a second is lost', async () => {
    near = new Pinging(hosts.pod(0).netns, hosts.pod(1).ip);
    const far = new Pinging(hosts.pod(0).netns, hosts.pod(2).ip);
    hosts.setModes({ vxlanMode: 'Always' });
    await over(`dev ${DEVICE}`);
    await hosts.ping(0, 2);
    const lost = machineMilliseconds(await far.stop());
    console.log(`without an answer beyond the router: ${lost} ms`);
    assert.ok(lost <= 1000, `${lost} ms beyond the router`);
  });

  test('VXLAN: its routes, an MTU of 1450, and 10 MB pass', async () => {
    const vtep = hosts.node(1).spec.ipv4VXLANTunnelAddr;
    const route = `${hosts.blockOf(1)} via ${vtep} dev ${DEVICE} proto 80 onlink`;
    assert.ok(hosts.routes(0).includes(route), `${route}: ${hosts.routes(0).join(' | ')}`);
    assert.match(hosts.host(0).exec(['ip', 'link', 'show', DEVICE]), /mtu 1450 /);
    const [client, server] = [hosts.pod(0), hosts.pod(1)];
    assert.match(run(['ip', '-n', client.netns, 'link', 'show', 'dev', 'eth0']), /mtu 1450 /);
    const before = receivedBy(hosts.host(1).netns, DEVICE);
    assert.equal(await sendBytes(client.netns, server, 10 * MEGABYTE), 10 * MEGABYTE);
    const received = receivedBy(hosts.host(1).netns, DEVICE) - before;
    assert.ok(received > 10 * MEGABYTE, `${received} octets in the tunnel`);
    assert.ok(tried(client.netns, 'ping', '-c1', '-W2', '-Mdo', '-s1422', server.ip));
    assert.ok(!tried(client.netns, 'ping', '-c1', '-W2', '-Mdo', '-s1423', server.ip));
  });

  test('VXLAN, CrossSubnet: plain within the subnet, in the tunnel beyond the router', async () => {
    hosts.setModes({ vxlanMode: 'CrossSubnet' });
    await over('dev eth0', [0, 1]);
    await over(`dev ${DEVICE}`, [0, 2]);
    await hosts.ping(0, 1);
    await hosts.ping(0, 2);
    hosts.setModes({ vxlanMode: 'Always' });
    await over(`dev ${DEVICE}`);
  });

  test('to none: no more than a second is lost at any turn, and nothing stays', async () => {
    hosts.setModes({});
    await over('dev eth0', [0, 1]);
    await hosts.ping(0, 1);
    const lost = machineMilliseconds(await near.stop());
    console.log(`without an answer to the neighbour: ${lost} ms`);
    assert.ok(lost <= 1000, `${lost} ms to the neighbour`);
    for (const index of HOSTS) {
      const exec = (...argv: string[]): string => hosts.host(index).exec(argv);
      await eventually(`host ${index} has no device`, () => !exec('ip', 'link').includes('vxlan'));
      assert.doesNotMatch(exec('ip', '-o', 'addr', 'show', 'dev', 'tunl0'), /inet /);
      const stale = hosts.routes(index).filter((line) => /vxlan|tunl0|proto 80/.test(line));
      assert.deepEqual(stale, []);
      assert.equal(exec('ip', 'neigh', 'show', 'nud', 'permanent').trim(), '');
      await eventually(`Node ${index} tells of no device`, () => {
        const { spec } = hosts.node(index);
        return !spec.ipv4VXLANTunnelAddr && !spec.bgp?.['ipv4IPIPTunnelAddr'];
      });
    }
    hosts.audit();
  });
});
