// What changes on a machine while its agent runs: the MTU of its interface, and its own address.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Node, nodeMtuOf } from '../../src/model/node.ts';
import { toolPath } from '../cluster/tools.ts';
import { attempt, eventually, run } from './command.ts';
import { CONFIG, type Lab, type LabPod, openLab } from './lab.ts';
import { Hosts } from './three-hosts.ts';
import { Pinging } from './traffic.ts';

const NODES = '/calico/resources/v3/projectcalico.org/nodes/';
const METRICS_PORT = 9091;

describe('a machine changes under its agent', { timeout: 120_000 }, () => {
  let lab: Lab;
  let etcdctl: string;
  let pods: readonly LabPod[];
  const node = (index: number): Node =>
    JSON.parse(
      lab
        .host(0)
        .exec([
          etcdctl,
          `--endpoints=${lab.etcdEndpoint}`,
          'get',
          `${NODES}${lab.host(index).name}`,
          '--print-value-only',
        ]),
    ) as Node;
  const status = (): string =>
    lab
      .host(0)
      .exec([
        'env',
        `ETCD_ENDPOINTS=${lab.etcdEndpoint}`,
        process.execPath,
        'src/cli/main.ts',
        'status',
      ]);

  before(async () => {
    lab = await openLab(2);
    etcdctl = await toolPath('etcdctl');
    const env = { CNI_MTU: '1500', FELIX_PROMETHEUSMETRICSENABLED: 'true' };
    await Promise.all(lab.hosts.map((host) => host.startAgent(env)));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
    const made: LabPod[] = [];
    for (const host of lab.hosts) made.push(await lab.addPod(host, `on-${host.name}`));
    pods = made;
    await eventually('pods reach one another', () => lab.pings(pods[0]!, pods[1]!.ip), 20_000);
  });
  after(() => lab?.stop());

  const readiness = (index: number): string => lab.host(index).http(9099, '/readiness').output;
  const metrics = (index: number): string => lab.host(index).http(METRICS_PORT, '/metrics').output;
  /** Both ends of the machine's cable. */
  const resize = (index: number, mtu: number): void => {
    const { netns, name } = lab.host(index);
    run(['ip', '-n', `${lab.prefix}-fab`, 'link', 'set', name, 'mtu', String(mtu)]);
    run(['ip', '-n', netns, 'link', 'set', 'eth0', 'mtu', String(mtu)]);
  };
  const readdress = (index: number, before: string, after: string): void => {
    const host = lab.host(index);
    host.exec(['ip', 'addr', 'delete', `${before}/24`, 'dev', 'eth0']);
    host.exec(['ip', 'addr', 'add', `${after}/24`, 'dev', 'eth0']);
    host.exec(['ip', 'route', 'replace', 'default', 'via', '10.201.0.1']);
  };
  const mtuOf = (netns: string): string =>
    /mtu (\d+)/.exec(run(['ip', '-n', netns, 'link', 'show', 'dev', 'eth0']))![1]!;

  test('routes to pods that somebody deletes or changes are there again within a second', async () => {
    const [host, pod] = [lab.host(0), pods[0]!];
    const hostEnd = / dev (cali\S+) /.exec(host.exec(['ip', 'route', 'show', pod.ip]))![1]!;
    const route = `${pod.ip} dev ${hostEnd} scope link`;
    const damages: readonly (readonly (readonly string[])[])[] = [
      [['route', 'delete', pod.ip]],
      [['route', 'replace', pod.ip, 'via', '10.201.0.1', 'dev', 'eth0']],
      [['route', 'replace', pod.ip, 'dev', 'lo', 'proto', 'static']],
      [['route', 'replace', 'blackhole', pod.ip]],
      [
        ['link', 'set', hostEnd, 'down'],
        ['link', 'set', hostEnd, 'up'],
      ],
    ];
    for (const damage of damages) {
      let [repaired, silent] = [0, 0];
      const ping = new Pinging(pods[1]!.netns, pod.ip);
      try {
        await eventually('answers', () => ping.count > 0);
        for (const command of damage) host.exec(['ip', ...command]);
        const began = performance.now();
        await eventually(route, () => host.exec(['ip', 'route', 'show', pod.ip]).trim() === route);
        repaired = performance.now() - began;
        const answers = ping.count;
        await eventually('answers again', () => ping.count > answers + 5);
      } finally {
        silent = await ping.stop();
      }
      console.log(
        `${damage.at(-1)!.join(' ')}: repaired within ${repaired.toFixed(0)} ms, ${silent} ms silent`,
      );
      assert.ok(repaired < 1000 && silent < 1000);
    }
    assert.match(host.log('agent'), /routes to pods are put back/);
  });

  test('MTU: what no longer fits is told everywhere, and pods without a figure of their own get less', async () => {
    const [, host] = lab.hosts;
    assert.ok(host);
    assert.equal(readiness(1), 'ready\n');
    assert.equal(mtuOf(pods[1]!.netns), '1500');
    resize(1, 1400);
    await eventually('the probe says it', () => readiness(1).includes('eth0 carries 1400'), 5000);
    assert.match(
      readiness(1),
      /^ready\npods are meant to get an MTU of 1500, but eth0 carries 1400/,
    );
    assert.match(metrics(1), /^calico_mtu_mismatch 1$/m);
    assert.match(metrics(1), /^calico_host_mtu_bytes 1400$/m);
    assert.match(metrics(1), /^calico_pod_mtu_bytes 1400$/m);
    assert.match(host.log('agent'), /pods are meant to get an MTU of 1500, but eth0 carries 1400/);
    await eventually('the record says it', () => nodeMtuOf(node(1))?.pods === 1400);
    const shown = status();
    assert.match(shown, /\| h1 +\| 10\.201\.0\.11\/24 \| +\| eth0 +\| +1500 \| +1500 \|/);
    assert.match(shown, /\| h2 +\| 10\.201\.0\.12\/24 \| +\| eth0 +\| +1400 \| +1400 \|/);
    assert.match(shown, /^h2: pods are meant to get an MTU of 1500/m);
    const small = await lab.addPod(host, 'small');
    assert.equal(mtuOf(small.netns), '1400');
    const result = small.result as { interfaces: { sandbox?: string; mtu?: number }[] };
    assert.equal(mtuOf(small.netns), '1400', JSON.stringify(result));
    // What the network configuration says goes.
    const own = lab.newPod('own');
    const reply = await host.cni(lab.environment('ADD', own), { ...CONFIG, mtu: 1300 });
    assert.equal(reply.exit, 0);
    assert.equal(mtuOf(own.netns), '1300');
    resize(1, 1500);
    await eventually('it is well again', () => readiness(1) === 'ready\n', 5000);
    assert.match(metrics(1), /^calico_mtu_mismatch 0$/m);
  });

  test('an address that changes: record, sessions, routes and rules follow', async () => {
    const [first, second] = lab.hosts;
    assert.ok(first && second);
    const blockVia = (address: string) =>
      new RegExp(`^192\\.168\\.\\d+\\.\\d+/26 via ${address.replaceAll('.', '\\.')} dev eth0`, 'm');
    assert.match(first.routes(), blockVia('10.201.0.12'));
    readdress(1, '10.201.0.12', '10.201.0.22');
    await eventually(
      'the record has the new address',
      () => node(1).spec.bgp?.ipv4Address === '10.201.0.22/24',
      20_000,
    );
    await eventually('the route moves', () => blockVia('10.201.0.22').test(first.routes()), 20_000);
    assert.doesNotMatch(first.routes(), blockVia('10.201.0.12'));
    const [a, b] = pods as [LabPod, LabPod];
    await eventually('pods reach one another', () => lab.pings(a, b.ip), 20_000);
    assert.ok(lab.pings(b, a.ip));
    await eventually('the rules know the host', () =>
      second.exec(['ipset', 'list', 'cali40this-host']).includes('10.201.0.22'),
    );
    assert.doesNotMatch(second.exec(['ipset', 'list', 'cali40this-host']), /10\.201\.0\.12/);
    assert.equal(second.http(9099, '/readiness').ok, true);
  });

  test('an address that another node has is not taken', async () => {
    const [first, second] = lab.hosts;
    assert.ok(first && second);
    // The other machine is gone, its record is not.
    second.agent?.kill('SIGKILL');
    second.speaker?.kill('SIGKILL');
    second.exec(['ip', 'link', 'set', 'eth0', 'down']);
    readdress(0, '10.201.0.11', '10.201.0.22');
    const taken = "Calico node 'h2' is already using the IPv4 address 10.201.0.22.";
    await eventually('it says so', () => said(first.netns).includes(taken), 20_000);
    assert.equal(node(0).spec.bgp?.ipv4Address, '10.201.0.11/24');
  });

  // A probe that fails has its text in the body.
  const said = (netns: string): string =>
    attempt([
      ...['ip', 'netns', 'exec', netns, 'curl', '-sS', '--max-time', '2'],
      'http://127.0.0.1:9099/readiness',
    ]).output;
});

describe('a machine in an overlay changes its address', { timeout: 120_000 }, () => {
  let hosts: Hosts;
  before(async () => {
    hosts = await Hosts.open({ vxlanMode: 'Always', speaker: false, mtu: 1450 });
  });
  after(() => hosts?.close());

  test('device, forwarding entries and the sets of nodes follow; pods go on', async () => {
    hosts.allowEverybody();
    await hosts.ping(0, 1);
    const [moving, next] = [hosts.host(1), '10.201.0.77'];
    const entries = (index: number): string =>
      hosts.host(index).exec(['bridge', 'fdb', 'show', 'dev', 'vxlan.calico']);
    const set = (index: number): string =>
      hosts.host(index).exec(['ipset', 'list', 'cali40all-vxlan-net']);
    assert.match(entries(0), new RegExp(`dst ${moving.address} `));
    moving.exec(['ip', 'addr', 'delete', `${moving.address}/24`, 'dev', 'eth0']);
    moving.exec(['ip', 'addr', 'add', `${next}/24`, 'dev', 'eth0']);
    moving.exec(['ip', 'route', 'replace', 'default', 'via', '10.201.0.1']);
    for (const index of [0, 2]) {
      await eventually(`host ${index} knows ${next}`, () => entries(index).includes(next), 20_000);
      assert.ok(!entries(index).includes(`${moving.address} `), entries(index));
      await eventually(`host ${index} lets ${next} in`, () => set(index).includes(next));
      assert.ok(!set(index).includes(`${moving.address}\n`), set(index));
    }
    const device = (): string => moving.exec(['ip', '-d', 'link', 'show', 'dev', 'vxlan.calico']);
    await eventually('the device sends from it', () => device().includes(`local ${next} `));
    await hosts.ping(0, 1);
    await hosts.ping(1, 2);
    hosts.audit();
  });
});

describe('IPv6 addresses that the nodes find themselves', { timeout: 120_000 }, () => {
  let lab: Lab;
  let etcdctl: string;
  before(async () => {
    lab = await openLab(2);
    etcdctl = await toolPath('etcdctl');
    for (const [index, host] of lab.hosts.entries()) {
      host.exec(['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
      add(index, `fd00:201::1${index}`);
    }
    const env = { IP6: 'autodetect', IP6_AUTODETECTION_METHOD: 'cidr=fd00::/16' };
    await Promise.all(lab.hosts.map((host) => host.startAgent(env)));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
  });
  after(() => lab?.stop());

  const add = (index: number, address: string): unknown =>
    lab.host(index).exec(['ip', 'addr', 'add', `${address}/64`, 'dev', 'eth0', 'nodad']);
  const remove = (index: number, address: string): unknown =>
    lab.host(index).exec(['ip', 'addr', 'delete', `${address}/64`, 'dev', 'eth0']);
  const stored = (index: number): string | undefined => {
    const key = `${NODES}${lab.host(index).name}`;
    const argv = [etcdctl, `--endpoints=${lab.etcdEndpoint}`, 'get', key, '--print-value-only'];
    return (JSON.parse(lab.host(0).exec(argv)) as Node).spec.bgp?.ipv6Address;
  };
  /** Addresses of established sessions. */
  const sessions = (index: number): readonly string[] => {
    const { peers } = JSON.parse(lab.host(index).http(9098, '/status').output) as {
      peers: { address: string; state: string }[];
    };
    return peers.filter(({ state }) => state === 'established').map(({ address }) => address);
  };

  test('they are in the Nodes, and sessions of their own run between them', async () => {
    assert.deepEqual([stored(0), stored(1)], ['fd00:201::10/64', 'fd00:201::11/64']);
    await eventually('a session of each family', () =>
      ['10.201.0.12', 'fd00:201::11'].every((address) => sessions(0).includes(address)),
    );
  });

  test('another address moves record and session, not one that another node has', async () => {
    add(1, 'fd00:201::77');
    remove(1, 'fd00:201::11');
    await eventually('the record', () => stored(1) === 'fd00:201::77/64', 20_000);
    await eventually('the session', () => sessions(0).includes('fd00:201::77'), 20_000);
    assert.ok(!sessions(0).includes('fd00:201::11'));
    remove(1, 'fd00:201::77'); // the record stays, since nothing else is there
    add(0, 'fd00:201::77');
    remove(0, 'fd00:201::10');
    const taken = "Calico node 'h2' is already using the IPv6 address fd00:201::77.";
    const readiness = () =>
      attempt([
        ...['ip', 'netns', 'exec', lab.host(0).netns, 'curl', '-sS', '--max-time', '2'],
        'http://127.0.0.1:9099/readiness',
      ]).output;
    await eventually('it is told', () => readiness().includes(taken), 20_000);
    assert.equal(stored(0), 'fd00:201::10/64');
  });
});
