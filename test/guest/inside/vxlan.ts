// A pool goes from IP-in-IP over VXLAN to plain routes while pods talk, on a kernel that has all three; the
// third host, behind the router, goes along as far as there is a way for it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../../lab/command.ts';
import { Hosts } from '../../lab/three-hosts.ts';
import { Pinging } from '../../lab/traffic.ts';

const HOSTS = [0, 1, 2] as const;

describe('from IP-in-IP over VXLAN to none', { timeout: 900_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    hosts = await Hosts.open({ ipipMode: 'Always', mtu: 1450 });
    hosts.allowEverybody();
  });
  after(() => hosts?.close());

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

  test('no more than a second is lost at either turn, and nothing stays', async () => {
    await over('dev tunl0');
    await hosts.ping(0, 1);
    await hosts.ping(0, 2);
    const [near, far] = [1, 2].map((index) => new Pinging(hosts.pod(0).netns, hosts.pod(index).ip));
    hosts.setModes({ vxlanMode: 'Always' });
    await over('dev vxlan.calico');
    await hosts.ping(0, 2);
    const lostFar = await far!.stop();
    hosts.setModes({});
    await over('dev eth0', [0, 1]);
    await hosts.ping(0, 1);
    const lostNear = await near!.stop();
    console.log(
      `without an answer: to the neighbour ${lostNear} ms, beyond the router ${lostFar} ms`,
    );
    assert.ok(lostNear <= 1000, `${lostNear} ms to the neighbour`);
    assert.ok(lostFar <= 1000, `${lostFar} ms beyond the router`);
    for (const index of HOSTS) {
      const exec = (...argv: string[]): string => hosts.host(index).exec(argv);
      await eventually(`host ${index} has no device`, () => !exec('ip', 'link').includes('vxlan'));
      assert.doesNotMatch(exec('ip', '-o', 'addr', 'show', 'dev', 'tunl0'), /inet /);
      const stale = hosts.routes(index).filter((line) => /vxlan|tunl0|proto 80/.test(line));
      assert.deepEqual(stale, []);
      await eventually(`Node ${index} tells of no device`, () => {
        const { spec } = hosts.node(index);
        return !spec.ipv4VXLANTunnelAddr && !spec.bgp?.['ipv4IPIPTunnelAddr'];
      });
    }
    hosts.audit();
  });
});
