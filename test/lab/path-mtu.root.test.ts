// A router that carries less than its neighbours and says nothing of it: the opt-in probe finds out.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from './command.ts';
import type { LabHost } from './host.ts';
import { type Lab, openLab } from './lab.ts';

const NARROW = 1400;
/** A veth takes a VLAN's header more than its MTU. */
const SLACK = 4;
const ROUTER = '10.201.0.254';
const FAR_ROUTER = '10.202.0.1';
const FAR = '10.202.0.12';

describe('the probe of paths', { timeout: 120_000 }, () => {
  let lab: Lab;
  let router: string;

  // The second host is behind the router; what the datastore needs is kept small.
  function putBehindRouter(host: LabHost): void {
    const fabric = `${lab.prefix}-fab`;
    router = `${lab.prefix}-rt`;
    const at = (netns: string, command: string): string =>
      run(['ip', '-n', netns, ...command.split(' ')]);
    run(['ip', 'netns', 'add', router]);
    at(fabric, `link add rt type veth peer name near netns ${router}`);
    at(fabric, 'link set rt master br0 up');
    at(fabric, `link set ${host.name} netns ${router}`);
    at(router, `addr add ${ROUTER}/24 dev near`);
    at(router, 'link set near up');
    at(router, `addr add ${FAR_ROUTER}/24 dev ${host.name}`);
    at(router, `link set ${host.name} mtu ${NARROW} up`);
    at(host.netns, `addr delete ${host.address}/24 dev eth0`);
    at(host.netns, `addr add ${FAR}/24 dev eth0`);
    at(host.netns, `route add 10.201.0.0/24 via ${FAR_ROUTER}`);
    at(host.netns, `route add 10.201.0.1/32 via ${FAR_ROUTER} mtu 1300`);
    at(fabric, `route add 10.202.0.0/24 via ${ROUTER} mtu 1300`);
    for (const near of [lab.host(0), lab.host(2)])
      at(near.netns, `route add 10.202.0.0/24 via ${ROUTER}`);
    const inside = (...argv: string[]) => run(['ip', 'netns', 'exec', router, ...argv]);
    inside('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const chain of ['OUTPUT', 'INPUT', 'FORWARD'])
      inside('iptables-nft', '-A', chain, '-p', 'icmp', '-j', 'DROP');
  }

  before(async () => {
    lab = await openLab(3);
    putBehindRouter(lab.host(1));
    const env = {
      CNI_MTU: '1500',
      FELIX_MTUPROBEINTERVAL: '1s',
      FELIX_PROMETHEUSMETRICSENABLED: 'true',
    };
    await Promise.all(lab.hosts.map((host) => host.startAgent(env)));
  });
  after(() => lab?.stop());

  const pathMtu = (host: LabHost, node: string): number => {
    const { output } = host.http(9091, '/metrics');
    return Number(
      new RegExp(`^calico_path_mtu_bytes\\{node="${node}"\\} (\\d+)$`, 'm').exec(output)?.[1],
    );
  };
  const readiness = (host: LabHost): string => host.http(9099, '/readiness').output;

  test('the node and the size are named, in both directions; other paths are well', async () => {
    const [first, second, third] = lab.hosts as [LabHost, LabHost, LabHost];
    await eventually(`h2's path is narrow for h1`, () => pathMtu(first, 'h2') === NARROW, 30_000);
    const words = `packets of more than ${NARROW} octets to node h2 (${FAR}) vanish, and pods' are up to 1500`;
    assert.ok(first.log('agent').includes(words), first.log('agent'));
    assert.ok(readiness(first).startsWith(`ready\n${words}`), readiness(first));
    assert.match(first.http(9091, '/metrics').output, /^calico_path_mtu_narrow 1$/m);
    await eventually('h1 and h3 find each other well', () =>
      [pathMtu(first, 'h3'), pathMtu(third, 'h1')].every((mtu) => mtu === 1500),
    );
    const back = () => pathMtu(second, 'h1');
    await eventually(`h1's path is narrow for h2`, () => back() > 0 && back() < 1500, 30_000);
    assert.ok(back() >= NARROW && back() <= NARROW + SLACK, String(back()));
  });

  test('mended: it is said, and the line goes', async () => {
    const first = lab.host(0);
    run(['ip', '-n', router, 'link', 'set', 'h2', 'mtu', '1500']);
    await eventually('h2 is reached whole', () => pathMtu(first, 'h2') === 1500, 30_000);
    assert.equal(readiness(first), 'ready\n');
    assert.match(first.log('agent'), /"node":"h2",.*"msg":"large packets pass again"/);
  });

  test('off: nobody asks, and no port is open', async () => {
    const first = lab.host(0);
    assert.match(first.exec(['cat', '/proc/net/udp']), /:2389 /); // 9097
    first.agent?.kill('SIGTERM');
    await eventually('it has ended', () => first.agent?.exitCode === 0);
    await first.startAgent({ CNI_MTU: '1500' });
    assert.doesNotMatch(first.exec(['cat', '/proc/net/udp']), /:2389 /);
    await eventually('its peers know nothing of it', () =>
      lab.host(2).log('agent').includes('the node answers no probe of its path'),
    );
    assert.ok(Number.isNaN(pathMtu(lab.host(2), 'h1')));
  });
});
