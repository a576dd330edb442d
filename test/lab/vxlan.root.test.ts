// VXLAN without BGP: real agents on three hosts, two in one subnet, the third behind a router; no speaker
// runs. Devices, entries and routes follow from the datastore alone.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { eventually, run } from './command.ts';
import { restarts } from './restarts.ts';
import { Hosts } from './three-hosts.ts';
import { echoesOf, Pinging, receivedBy, sendBytes, tried } from './traffic.ts';

const MEGABYTE = 1 << 20;
const DEVICE = 'vxlan.calico';
const HOSTS = [0, 1, 2] as const;
/** Between the hosts' two subnets. */
const ROUTER = '10.201.0.1';

const linesOf = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);

/** What a host's Node tells of its device. */
function vtepOf(hosts: Hosts, index: number): { readonly ip: string; readonly mac: string } {
  const { ipv4VXLANTunnelAddr: ip = '', vxlanTunnelMACAddr: mac = '' } = hosts.node(index).spec;
  return { ip, mac };
}

const othersOf = (index: number): readonly number[] => HOSTS.filter((other) => other !== index);

interface Tables {
  readonly routes: readonly string[];
  readonly neighbours: readonly string[];
  readonly forwarding: readonly string[];
}

const SHOW = `ip route show proto 80; echo ---
  ip neigh show dev ${DEVICE} nud permanent; echo ---; bridge fdb show dev ${DEVICE}; echo ---
  ip addr show dev ${DEVICE}`;

/** Routes, neighbours and forwarding entries of a host, and its device, as `ip` and `bridge` show them. */
function shownBy(hosts: Hosts, index: number): Tables & { readonly device: string } {
  const parts = hosts.host(index).exec(['sh', '-c', SHOW]).split('---');
  const [routes = [], neighbours = [], forwarding = []] = parts.map((part) =>
    linesOf(part).toSorted(),
  );
  return { routes, neighbours, forwarding, device: parts[3] ?? '' };
}

function tablesOf(hosts: Hosts, index: number): Tables {
  const { device: _, ...tables } = shownBy(hosts, index);
  return tables;
}

function expectedOf(hosts: Hosts, index: number, near: 'tunnel' | 'plain'): Tables {
  const vteps = othersOf(index).map((other) => ({ other, ...vtepOf(hosts, other) }));
  const isPlain = (other: number): boolean => near === 'plain' && other !== 2 && index !== 2;
  return {
    routes: [
      `blackhole ${hosts.blockOf(index)}`,
      ...vteps.map(({ other, ip }) =>
        isPlain(other)
          ? `${hosts.blockOf(other)} via ${hosts.addressOf(other)} dev eth0`
          : `${hosts.blockOf(other)} via ${ip} dev ${DEVICE} onlink`,
      ),
    ].toSorted(),
    neighbours: vteps.map(({ ip, mac }) => `${ip} lladdr ${mac} PERMANENT`).toSorted(),
    forwarding: vteps
      .map(({ other, mac }) => `${mac} dst ${hosts.addressOf(other)} self permanent`)
      .toSorted(),
  };
}

async function haveTables(hosts: Hosts, near: 'tunnel' | 'plain', within = 5000): Promise<void> {
  for (const index of HOSTS)
    await eventually(
      `host ${index} has all`,
      () => {
        assert.deepEqual(tablesOf(hosts, index), expectedOf(hosts, index, near));
        return true;
      },
      within,
    );
}

/** Nothing of VXLAN is left on any host, nor in the datastore. */
async function nothingLeft(hosts: Hosts): Promise<void> {
  for (const index of HOSTS) {
    const links = () => hosts.host(index).exec(['ip', '-o', 'link']);
    await eventually(`no device on host ${index}`, () => !links().includes(DEVICE));
    await eventually(
      `no tunnel in ${hosts.routes(index).join(' | ')}`,
      () => !hosts.routes(index).some((route) => route.includes(DEVICE)),
    );
    await eventually('the Node tells of none', () => vtepOf(hosts, index).ip === '');
    assert.equal(vtepOf(hosts, index).mac, '');
    assert.equal(hosts.host(index).exec(['ip', 'neigh', 'show', 'nud', 'permanent']).trim(), '');
    assert.ok(!hosts.host(index).exec(['bridge', 'fdb']).includes('dst'), 'forwarding entries');
  }
  hosts.audit();
}

describe('VXLAN without a speaker', { timeout: 300_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    hosts = await Hosts.open({ vxlanMode: 'Always', speaker: false, mtu: 1450 });
    hosts.allowEverybody();
  });
  after(() => hosts?.close());

  test('vxlan.calico: VNI, port, no learning, MTU, hardware address, an address of an own block', async () => {
    for (const index of HOSTS) {
      await eventually('an address', () => vtepOf(hosts, index).ip !== '');
      const { ip, mac } = vtepOf(hosts, index);
      const show = () => hosts.host(index).exec(['ip', '-d', 'addr', 'show', 'dev', DEVICE]);
      await eventually(`${ip} on ${DEVICE}`, () => show().includes(`inet ${ip}/32 scope global`));
      const local = hosts.addressOf(index);
      assert.match(show(), /vxlan id 4096 .*dstport 4789 nolearning/);
      assert.match(show(), new RegExp(`local ${local} dev eth0`));
      assert.match(show(), new RegExp(`mtu 1450 [^]*link/ether ${mac}`));
      assert.match(mac, /^66:/);
      const [first, length] = hosts.blockOf(index).split('/');
      assert.equal(length, '26');
      assert.equal(ip.split('.').slice(0, 3).join('.'), first!.split('.').slice(0, 3).join('.'));
      const offload = hosts.host(index).exec(['ethtool', '-k', DEVICE]);
      assert.match(offload, /^tx-checksumming: off/m);
    }
    const shown = hosts.calicoKit('ipam', 'show', `--ip=${vtepOf(hosts, 1).ip}`);
    assert.match(shown, /Handle ID: vxlan-tunnel-addr-h2.*type: vxlanTunnelAddress/s);
    hosts.audit();
  });

  test('routes, neighbours and forwarding entries from the datastore alone', () =>
    haveTables(hosts, 'tunnel'));

  test('pods reach each other in the tunnel, with an MTU of 1450, and 10 MB pass', async () => {
    for (const from of HOSTS) for (const to of othersOf(from)) await hosts.ping(from, to);
    const [client, server] = [hosts.pod(0), hosts.pod(2)];
    assert.match(run(['ip', '-n', client.netns, 'link', 'show', 'dev', 'eth0']), /mtu 1450 /);
    const before = receivedBy(hosts.host(2).netns, DEVICE);
    assert.equal(await sendBytes(client.netns, server, 10 * MEGABYTE), 10 * MEGABYTE);
    const received = receivedBy(hosts.host(2).netns, DEVICE) - before;
    assert.ok(received > 10 * MEGABYTE, `${received} octets in the tunnel`);
    assert.ok(tried(client.netns, 'ping', '-c1', '-W2', '-Mdo', '-s1422', server.ip));
    assert.ok(!tried(client.netns, 'ping', '-c1', '-W2', '-Mdo', '-s1423', server.ip));
  });

  test('a host reaches pods of other hosts from its tunnel address', async () => {
    const { ip } = hosts.pod(1);
    const route = hosts.host(0).exec(['ip', 'route', 'get', ip]);
    assert.match(route, new RegExp(`dev ${DEVICE} src ${vtepOf(hosts, 0).ip}`));
    await eventually('an answer', () => tried(hosts.host(0).netns, 'ping', '-c1', '-W1', ip));
    // From the wrong one of its addresses: translated.
    const { address, netns } = hosts.host(0);
    await eventually('an answer', () => tried(netns, 'ping', '-I', address, '-c1', '-W1', ip));
  });

  test('what somebody deletes or changes is back within a second', async () => {
    const host = hosts.host(0);
    const { ip } = vtepOf(hosts, 0);
    const other = vtepOf(hosts, 1);
    const harms: readonly (readonly string[])[] = [
      ['ip', 'route', 'delete', hosts.blockOf(1)],
      ['ip', 'route', 'delete', 'blackhole', hosts.blockOf(0)],
      ['bridge', 'fdb', 'delete', other.mac, 'dev', DEVICE],
      ['bridge', 'fdb', 'replace', other.mac, 'dev', DEVICE, 'dst', '10.201.0.77'],
      ['bridge', 'fdb', 'append', '66:00:00:00:00:99', 'dev', DEVICE, 'dst', '10.201.0.77'],
      ['ip', 'neigh', 'delete', other.ip, 'dev', DEVICE],
      ['ip', 'neigh', 'replace', other.ip, 'lladdr', '66:00:00:00:00:99', 'dev', DEVICE],
      ['ip', 'addr', 'delete', `${ip}/32`, 'dev', DEVICE],
      ['ip', 'link', 'set', DEVICE, 'down'],
      ['ip', 'link', 'set', DEVICE, 'mtu', '1300'],
      ['ip', 'link', 'delete', DEVICE],
    ];
    const expected = expectedOf(hosts, 0, 'tunnel');
    const device = new RegExp(`UP.* mtu 1450 [^]*inet ${ip}/32`);
    for (const harm of harms) {
      host.exec(harm);
      const began = performance.now();
      await eventually(
        `mended: ${harm.join(' ')}`,
        () => {
          const { device: shown, ...tables } = shownBy(hosts, 0);
          assert.match(shown, device);
          assert.deepEqual(tables, expected);
          return true;
        },
        3000,
      );
      const took = Math.round(performance.now() - began);
      console.log(`mended after ${took} ms: ${harm.join(' ')}`);
      assert.ok(took < 1000, `${took} ms for ${harm.join(' ')}`);
    }
    await hosts.ping(0, 1);
  });

  test('VXLAN of a stranger, and of a pod, reaches nobody', async () => {
    const victim = hosts.pod(0);
    const { mac } = vtepOf(hosts, 0);
    const stranger = hosts.stranger('10.201.0.99');
    const inject = (netns: string, source: string): number => {
      const way = ['id', '4096', 'dstport', '4789', 'local', source, 'remote', hosts.addressOf(0)];
      run(['ip', '-n', netns, 'link', 'add', 'spoof', 'type', 'vxlan', ...way, 'dev', 'eth0']);
      run(['ip', '-n', netns, 'link', 'set', 'spoof', 'up']);
      run(['ip', '-n', netns, 'addr', 'add', '192.168.250.1/32', 'dev', 'spoof']);
      run(['ip', '-n', netns, 'route', 'add', `${victim.ip}/32`, 'dev', 'spoof']);
      const to = ['to', victim.ip, 'lladdr', mac, 'dev', 'spoof', 'nud', 'permanent'];
      run(['ip', '-n', netns, 'neigh', 'replace', ...to]);
      const before = echoesOf(victim.netns);
      tried(netns, 'ping', '-c3', '-i0.2', '-W1', victim.ip);
      run(['ip', '-n', netns, 'link', 'delete', 'spoof']);
      return echoesOf(victim.netns) - before;
    };
    assert.equal(inject(stranger, '10.201.0.99'), 0, 'a stranger’s packets arrived');
    assert.equal(inject(hosts.pod(1).netns, hosts.pod(1).ip), 0, 'a pod’s packets arrived');
    // The same as a node: were it no VXLAN, the two above would prove nothing.
    const key = '/calico/resources/v3/projectcalico.org/nodes/stranger';
    const spec = {
      bgp: { ipv4Address: '10.201.0.99/24' },
      ipv4VXLANTunnelAddr: '192.168.250.1',
    };
    const head = { kind: 'Node', apiVersion: 'projectcalico.org/v3' };
    hosts.put(key, JSON.stringify({ ...head, metadata: { name: 'stranger' }, spec }));
    const members = () => hosts.host(0).exec(['ipset', 'list', 'cali40all-vxlan-net']);
    await eventually('it is let in', () => members().includes('10.201.0.99'));
    assert.equal(inject(stranger, '10.201.0.99'), 3, 'a node’s packets did not arrive');
    hosts.remove(key);
    await eventually('it is no longer', () => !members().includes('10.201.0.99'));
    run(['ip', 'netns', 'delete', stranger]);
    await hosts.ping(1, 0); // and what belongs here still does
  });

  test('CrossSubnet, live: plain within the subnet, in the tunnel beyond the router', async () => {
    const [near, far] = [
      new Pinging(hosts.pod(0).netns, hosts.pod(1).ip),
      new Pinging(hosts.pod(0).netns, hosts.pod(2).ip),
    ];
    hosts.setModes({ vxlanMode: 'CrossSubnet' });
    await haveTables(hosts, 'plain');
    const lost = [await near.stop(), await far.stop()];
    assert.ok(Math.max(...lost) < 1000, `${lost.join(', ')} ms without an answer`);
  });

  test('an agent that starts again loses no packet and adopts what is there', async () => {
    hosts.setModes({ vxlanMode: 'Always' });
    await haveTables(hosts, 'tunnel');
    const ping = new Pinging(hosts.pod(0).netns, hosts.pod(1).ip);
    const index = () => hosts.host(0).exec(['cat', `/sys/class/net/${DEVICE}/ifindex`]);
    const before = index();
    await hosts.restartAgent(0);
    await haveTables(hosts, 'tunnel');
    assert.equal(index(), before);
    assert.equal(await ping.stop(), 0);
  });

  test('a node whom the pool does not select reaches its pods, from its own address', async () => {
    hosts.label(2, { rack: 'far' });
    hosts.changePool({ nodeSelector: "rack != 'far'" });
    await eventually('its address goes', () => vtepOf(hosts, 2).ip === '');
    const shown = () => hosts.host(2).exec(['ip', 'addr', 'show', 'dev', DEVICE]);
    await eventually('also from the device', () => !shown().includes('inet 192.168.'));
    assert.match(shown(), /[<,]UP[,>].* mtu 1450 /);
    const { ip } = hosts.pod(0);
    const route = (): string => hosts.host(2).exec(['ip', 'route', 'get', ip]);
    await eventually('a route', () => route().includes(`dev ${DEVICE} src ${hosts.addressOf(2)}`));
    const before = receivedBy(hosts.host(0).netns, DEVICE);
    const ping = () => tried(hosts.host(2).netns, 'ping', '-c1', '-W1', ip);
    await eventually(`${ip} answers: ${route()}`, ping);
    assert.ok(receivedBy(hosts.host(0).netns, DEVICE) > before, 'not in the tunnel');
    hosts.changePool({ nodeSelector: 'all()' });
    await eventually('it has an address again', () => vtepOf(hosts, 2).ip !== '');
    await haveTables(hosts, 'tunnel');
    await hosts.ping(2, 0);
  });

  test('speakers come node by node: none waits for those that have none yet; then without VXLAN', async () => {
    const ping = new Pinging(hosts.pod(0).netns, hosts.pod(1).ip);
    hosts.useSpeakers();
    for (const index of HOSTS) await hosts.restartNode(index, 'SIGTERM'); // waits until it is ready
    await haveTables(hosts, 'tunnel');
    hosts.setModes({});
    await nothingLeft(hosts);
    const plain = `${hosts.blockOf(1)} via ${hosts.addressOf(1)} dev eth0 proto bird`;
    await eventually(plain, () => hosts.routes(0).includes(plain));
    const lost = await ping.stop();
    assert.ok(lost <= 1000, `${lost} ms`);
  });
});

describe('IPv6 in VXLAN over IPv6', { timeout: 300_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    hosts = await Hosts.open({ vxlanMode: 'Always', speaker: false, mtu: 1430 });
    hosts.allowEverybody();
  });
  after(() => hosts?.close());

  test('vxlan-v6.calico beside vxlan.calico; pods of two nodes reach each other', async () => {
    const [device, near] = ['vxlan-v6.calico', [0, 1]];
    for (const index of near) hosts.addIpv6(index, `fd00:201::1${index}`);
    const metadata = { name: 'six', uid: '1f0f3e1c-7d1a-4c41-9c1a-0a1d3a8f6c66' };
    const spec = {
      cidr: 'fd00:10::/64',
      blockSize: 122,
      vxlanMode: 'Always',
      nodeSelector: 'all()',
    };
    const head = { apiVersion: 'projectcalico.org/v3', kind: 'IPPool' };
    const key = '/calico/resources/v3/projectcalico.org/ippools/six';
    hosts.put(key, JSON.stringify({ ...head, metadata, spec }));
    const vtep = (index: number) => hosts.node(index).spec.ipv6VXLANTunnelAddr ?? '';
    const show = (index: number, ...what: string[]) =>
      hosts.host(index).exec(['ip', '-d', ...what, 'dev', device]);
    for (const index of near) {
      await eventually('an address', () => vtep(index) !== '');
      await eventually(`${vtep(index)} on ${device}`, () =>
        show(index, 'addr', 'show').includes(`inet6 ${vtep(index)}/128`),
      );
      assert.match(show(index, 'link', 'show'), /mtu 1430 .*vxlan id 4096 .*local fd00:201::1/s);
    }
    const ips = await Promise.all(near.map((index) => hosts.addDualPod(index, `six${index}`)));
    const [from, to] = ips.map(({ ip6 }) => ip6);
    assert.match(
      hosts.host(0).exec(['ip', '-6', 'route']),
      /fd00:10::\S* via fd00:10::\S* dev vxlan-v6/,
    );
    await eventually(`${from} reaches ${to}`, () =>
      tried(ips[0]!.netns, 'ping', '-6', '-c1', '-W1', to!),
    );
    hosts.put(key, JSON.stringify({ ...head, metadata, spec: { ...spec, vxlanMode: 'Never' } }));
    for (const index of near) {
      const links = () => hosts.host(index).exec(['ip', 'link']);
      await eventually(`no ${device}`, () => !links().includes(device) && vtep(index) === '');
      assert.ok(links().includes('vxlan.calico'));
    }
  });
});

describe('VXLAN beside a speaker', { timeout: 300_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    hosts = await Hosts.open({ vxlanMode: 'CrossSubnet', mtu: 1450 });
    hosts.allowEverybody();
  });
  after(() => hosts?.close());

  test('the speaker programs no block of a VXLAN pool', async () => {
    await haveTables(hosts, 'plain');
    await hosts.ping(0, 1);
    await hosts.ping(0, 2);
    assert.deepEqual(
      hosts.routes(0).filter((route) => route.includes('bird')),
      [],
    );
  });

  restarts(() => hosts, [1, 2]);

  test('from hand to hand under traffic, no more than a second is lost, nothing stays', async () => {
    // Beyond the router plain packets of pods have no way: only the near pair talks all the time.
    const ping = new Pinging(hosts.pod(0).netns, hosts.pod(1).ip);
    const turns = [{ vxlanMode: 'Always' }, {}, { vxlanMode: 'Always' }, {}] as const;
    for (const modes of turns) {
      hosts.setModes(modes);
      if ('vxlanMode' in modes) await haveTables(hosts, 'tunnel');
      else {
        await nothingLeft(hosts);
        const plain = `${hosts.blockOf(1)} via ${hosts.addressOf(1)} dev eth0 proto bird`;
        await eventually(plain, () => hosts.routes(0).includes(plain));
      }
    }
    const lost = await ping.stop();
    console.log(`VXLAN and none, twice each way, under traffic: ${lost} ms without an answer`);
    assert.ok(lost <= 1000, `${lost} ms`);
    assert.deepEqual(
      HOSTS.flatMap((index) => hosts.routes(index).filter((route) => route.includes('proto 80'))),
      [],
    );
  });

  test('programClusterRoutes: from the speaker to the agent and back, no packet is lost', async () => {
    const ping = new Pinging(hosts.pod(0).netns, hosts.pod(1).ip);
    const shown = (protocol: string) => [
      `blackhole ${hosts.blockOf(0)} proto ${protocol}`,
      ...[1, 2].map(
        (other) =>
          `${hosts.blockOf(other)} via ${other === 1 ? hosts.addressOf(1) : ROUTER} ` +
          `dev eth0 proto ${protocol}`,
      ),
    ];
    const blocks = () => hosts.routes(0).filter((route) => /proto (80|bird)/.test(route));
    for (const [value, protocol] of [
      ['Disabled', '80'],
      ['EnabledNoEncapOnly', 'bird'],
      ['EnabledIPIPOnly', '80'],
      [undefined, 'bird'],
    ] as const) {
      hosts.programClusterRoutes(value);
      await eventually(`${value}: ${shown(protocol).join(' | ')}`, () => {
        assert.deepEqual(blocks().toSorted(), shown(protocol).toSorted());
        return true;
      });
    }
    assert.equal(await ping.stop(), 0);
  });
});
