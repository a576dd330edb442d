// Agent, speaker and etcd as real processes on namespaces: the path of the slides without Kubernetes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { auditIpam } from '../../src/ipam/audit.ts';
import type { GuardReport } from '../../src/policy/counters/guard-report.ts';
import { toolPath } from '../cluster/tools.ts';
import { attempt, eventually, run } from './command.ts';
import { CONFIG, ended, type Lab, type LabPod, openLab } from './lab.ts';
import { items, keys } from './stored.ts';

describe('two hosts', { timeout: 180_000 }, () => {
  let lab: Lab;
  let a: LabPod;
  let b: LabPod;

  before(async () => {
    lab = await openLab(2);
    await Promise.all(lab.hosts.map((host) => host.startAgent()));
    await Promise.all(lab.hosts.map((host) => host.startSpeaker()));
    a = await lab.addPod(lab.host(0), 'a');
    b = await lab.addPod(lab.host(1), 'b');
  });
  after(() => lab?.stop());

  test('pods on two hosts ping each other over routes that the speakers exchanged', async () => {
    await eventually('a pings b', () => lab.pings(a, b.ip), 20_000);
    assert.ok(lab.pings(b, a.ip));
  });

  test('the route tables have the shape of the slides', async () => {
    const blackhole = /^blackhole 192\.168\.\d+\.\d+\/26 proto bird\s*$/m;
    for (const { name, ...host } of lab.hosts.map((h) => ({
      name: h.name,
      routes: () => h.routes(),
    }))) {
      await eventually(`${name} has its blackhole`, () => blackhole.test(host.routes()));
    }
    for (const [here, there, pod] of [
      [0, 1, a],
      [1, 0, b],
    ] as const) {
      const routes = lab.host(here).routes();
      assert.match(routes, /^blackhole 192\.168\.\d+\.\d+\/26 proto bird\s*$/m);
      assert.match(routes, new RegExp(`^${pod.ip} dev cali[0-9a-f]{11} scope link`, 'm'));
      const via = lab.host(there).address.replaceAll('.', '\\.');
      assert.match(
        routes,
        new RegExp(`^192\\.168\\.\\d+\\.\\d+/26 via ${via} dev eth0 proto bird`, 'm'),
      );
    }
  });

  test('ADD twice answers the same address; CHECK is content; DEL twice succeeds', async () => {
    const host = lab.host(0);
    const pod = await lab.addPod(host, 'c');
    const check = { ...CONFIG, prevResult: pod.result };
    assert.equal((await host.cni(lab.environment('CHECK', pod), check)).exit, 0);
    assert.equal((await lab.deletePod(host, pod)).exit, 0);
    assert.equal((await lab.deletePod(host, pod)).exit, 0);
    assert.notEqual((await host.cni(lab.environment('CHECK', pod), check)).exit, 0);
    assert.doesNotMatch(host.routes(), new RegExp(`^${pod.ip.replaceAll('.', '\\.')} `, 'm'));
  });

  /** Packets from a to b, a hundred a second, while `meanwhile` goes on: what ping says of them. */
  async function pinged(meanwhile: () => Promise<unknown>): Promise<string> {
    const ping = spawn('ip', ['netns', 'exec', a.netns, 'ping', '-i', '0.01', '-q', b.ip]);
    let output = '';
    ping.stdout.on('data', (text) => {
      output += String(text);
    });
    const closed = new Promise((resolve) => ping.once('close', resolve));
    try {
      await meanwhile();
    } finally {
      ping.kill('SIGINT');
      await closed;
    }
    return output;
  }

  test('a restart of the agent loses no packet', async () => {
    const host = lab.host(0);
    const output = await pinged(async () => {
      await ended(host.agent!, 'SIGTERM');
      await host.startAgent();
    });
    assert.match(output, / 0% packet loss/);
  });

  test('the guard outlives an agent that was killed, and the next one takes it over', async () => {
    const host = lab.host(0);
    const guard = () => host.exec(['nft', 'list', 'table', 'ip', 'calico-kit-guard']);
    await ended(host.agent!, 'SIGKILL');
    host.exec(['iptables-nft', '-F']);
    assert.match(guard(), /oifname "cali\*" counter .* drop/);
    await host.startAgent();
    const page = JSON.parse(host.http(9099, '/policy/guard').output) as readonly GuardReport[];
    assert.deepEqual(
      page.map(({ family, stands }) => [family, stands]),
      [
        [4, true],
        [6, true],
      ],
    );
    assert.doesNotMatch(host.log('agent'), /no guard/);
    const cli = (...args: string[]) =>
      host.exec([
        ...['env', `ETCD_ENDPOINTS=${lab.etcdEndpoint}`, process.execPath, 'src/cli/main.ts'],
        ...args,
      ]);
    assert.match(cli('policy', 'guard'), /\| IPv4 +\| stands \|/);
    assert.match(cli('trace', a.ip, b.ip), /^note: .* rules of IPv4 and IPv6 stands the guard/m);
  });

  test('NAT outgoing and default deny of unknown interfaces are in the kernel', () => {
    const rules = lab.host(0).exec(['iptables-nft-save']);
    assert.match(rules, /cali-nat-outgoing .*cali40masq-ipam-pools src .* -j MASQUERADE/);
    assert.match(rules, /cali-from-wl-dispatch .*"Unknown interface" -j DROP/);
  });

  test('a speaker that dies and comes back loses no packet: peers keep its routes (RFC 4724)', async () => {
    const host = lab.host(1);
    const via = new RegExp(`via ${host.address.replaceAll('.', '\\.')} .*proto bird`);
    const output = await pinged(async () => {
      await ended(host.speaker!, 'SIGKILL');
      assert.match(lab.host(0).routes(), via);
      await host.startSpeaker();
      await eventually('the session is back', () => host.http(9098, '/readiness').ok, 20_000);
    });
    assert.match(output, / 0% packet loss/);
    assert.match(lab.host(0).routes(), via);
  });

  test('a node whose agent and speaker start anew together loses no packet', async () => {
    const host = lab.host(1);
    const output = await pinged(async () => {
      await Promise.all([ended(host.agent!, 'SIGTERM'), ended(host.speaker!, 'SIGTERM')]);
      await Promise.all([host.startAgent(), host.startSpeaker()]);
      await eventually('the session is back', () => host.http(9098, '/readiness').ok, 20_000);
    });
    assert.match(output, / 0% packet loss/);
  });

  test('an unknown container and a bad configuration: the right code, nothing left', async () => {
    const host = lab.host(0);
    const gone = { name: 'gone', containerId: 'cid-gone', netns: 'ckt-nowhere' };
    const before = host.routes();
    const cases: [Record<string, string>, object, number][] = [
      [lab.environment('ADD', gone), CONFIG, 3],
      [lab.environment('ADD', gone), { ...CONFIG, mtu: 'big' }, 7],
      [lab.environment('ADD', gone), { ...CONFIG, cniVersion: '9.0.0' }, 1],
      [{ CNI_COMMAND: 'ADD' }, CONFIG, 4],
    ];
    for (const [env, config, code] of cases) {
      const reply = await host.cni(env, config);
      assert.equal(reply.exit, 1);
      assert.equal(JSON.parse(reply.stdout).code, code, reply.stdout);
    }
    assert.equal(host.routes(), before);
    assert.equal((await lab.deletePod(host, gone)).exit, 0);
  });

  test('etcd down: ADD answers code 11 and leaves nothing; pods go on talking', async () => {
    const host = lab.host(0);
    await lab.stopEtcd();
    const pod = lab.newPod('late');
    const reply = await host.cni(lab.environment('ADD', pod), CONFIG);
    assert.equal(reply.exit, 1);
    assert.equal(JSON.parse(reply.stdout).code, 11, reply.stdout);
    assert.equal(
      attempt(['ip', 'netns', 'exec', pod.netns, 'ip', 'link', 'show', 'eth0']).ok,
      false,
    );
    assert.ok(lab.pings(a, b.ip));
    // An ADD that had an address when etcd went, and a DEL: both are put in order within seconds.
    assert.equal((await lab.deletePod(lab.host(1), b)).exit, 0, 'DEL does not need etcd');
    assert.equal(lab.pings(a, b.ip), false);
    lab.startEtcd();
    const holds = async (): Promise<boolean> =>
      (await items(lab)).some(({ value }) => value.includes(b.containerId));
    await eventually('the release is carried out', async () => !(await holds()), 20_000);
  });
});

describe('kill -9 between any two steps of ADD and DEL, beside a second agent', {
  timeout: 240_000,
}, () => {
  let lab: Lab;
  // The claim comes first: only a node without a block claims one.
  const POINTS = [
    'ipam:before-claim',
    'ipam:after-claim',
    'ipam:before-commit',
    'ipam:after-commit',
    'add:start',
    'add:veth',
    'add:assigned',
    'add:configured',
    'add:routed',
    'add:programmed',
  ];

  before(async () => {
    lab = await openLab(2);
  });
  after(() => lab?.stop());

  test('nothing leaks, no address is given twice', async () => {
    const [dying, steady] = [lab.host(0), lab.host(1)];
    await steady.startAgent();
    const living: LabPod[] = [];
    for (const [i, point] of POINTS.entries()) {
      await dying.startAgent({ CALICO_FAILPOINT: point });
      const pod = lab.newPod(`crash${i}`);
      const call = dying.cni(lab.environment('ADD', pod), CONFIG).catch(() => {});
      living.push(await lab.addPod(steady, `steady${i}`));
      await call;
      await eventually(`${point}: the agent died`, () => dying.agent!.signalCode === 'SIGKILL');
      await dying.startAgent();
      // The runtime tears the failed sandbox down, then makes it anew.
      assert.equal((await lab.deletePod(dying, pod)).exit, 0, point);
      run(['ip', 'netns', 'delete', pod.netns]);
      // Before the first claim is done there must be nothing that makes one needless.
      if (point !== 'ipam:before-claim') living.push(await lab.addPod(dying, `again${i}`));
      await ended(dying.agent!, 'SIGTERM');
    }
    for (const point of [
      'del:start',
      'del:cut',
      'ipam:before-commit',
      'ipam:after-commit',
      'del:released',
    ]) {
      await dying.startAgent();
      const pod = await lab.addPod(dying, point.replace(':', '-'));
      await ended(dying.agent!, 'SIGTERM');
      await dying.startAgent({ CALICO_FAILPOINT: point });
      await lab.deletePod(dying, pod).catch(() => {});
      await eventually(`${point}: the agent died`, () => dying.agent!.signalCode === 'SIGKILL');
      await dying.startAgent();
      assert.equal((await lab.deletePod(dying, pod)).exit, 0, point);
      await ended(dying.agent!, 'SIGTERM');
    }
    await dying.startAgent();
    assert.equal(
      new Set(living.map(({ ip }) => ip)).size,
      living.length,
      'an address was given twice',
    );
    const interfaces = dying
      .exec(['ip', '-br', 'link'])
      .split('\n')
      .filter((line) => line.startsWith('cali'));
    assert.equal(interfaces.length, POINTS.length - 1, interfaces.join('\n'));
    const handles = await keys(lab, '/calico/ipam/v2/handle/');
    assert.deepEqual(
      handles,
      living.map(({ containerId }) => `k8s-pod-network.${containerId}`).sort(),
    );
    assert.deepEqual(auditIpam(await items(lab)), []);
  });

  test('a runtime that never comes back: what the crash left is gone when the agent is ready again', async () => {
    const [dying] = lab.hosts;
    assert(dying);
    await ended(dying.agent!, 'SIGTERM');
    for (const point of ['ipam:after-commit', 'add:routed']) {
      const before = await keys(lab, '/calico/ipam/v2/handle/');
      await dying.startAgent({ CALICO_FAILPOINT: point });
      const pod = lab.newPod(`lost-${point.replace(':', '-')}`);
      await dying.cni(lab.environment('ADD', pod), CONFIG).catch(() => {});
      await eventually(`${point}: the agent died`, () => dying.agent!.signalCode === 'SIGKILL');
      const left = await items(lab);
      assert(
        left.some(({ value }) => value.includes(pod.containerId)),
        point,
      );
      run(['ip', 'netns', 'delete', pod.netns]);
      await dying.startAgent();
      const now = await items(lab);
      assert(!now.some(({ value }) => value.includes(pod.containerId)), point);
      assert.deepEqual(await keys(lab, '/calico/ipam/v2/handle/'), before);
      assert.deepEqual(auditIpam(now), []);
      await ended(dying.agent!, 'SIGTERM');
    }
  });
});

describe('limits of the machine and of the pool', { timeout: 120_000 }, () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab(1);
  });
  after(() => lab?.stop());

  test('a pool that is full: code 101 with the pool by name, nothing left behind', async () => {
    const host = lab.host(0);
    await host.startAgent({
      CALICO_IPV4POOL_CIDR: '192.168.7.0/29',
      CALICO_IPV4POOL_BLOCK_SIZE: '30',
    });
    for (let i = 0; i < 8; i++) await lab.addPod(host, `full${i}`);
    const before = host.routes();
    const pod = lab.newPod('ninth');
    const reply = await host.cni(lab.environment('ADD', pod), CONFIG);
    const { code, msg } = JSON.parse(reply.stdout) as { code: number; msg: string };
    assert.deepEqual([reply.exit, code], [1, 101]);
    assert.match(msg, /No IPs available in pools: \[192\.168\.7\.0\/29\]/);
    assert.equal(host.routes(), before);
    assert.equal(
      attempt(['ip', 'netns', 'exec', pod.netns, 'ip', 'link', 'show', 'eth0']).ok,
      false,
    );
  });

  test('a pool with ipipMode Always: the readiness text and the log name the setting and the way out', async () => {
    const host = lab.host(0);
    const etcdctl = await toolPath('etcdctl');
    const key = '/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool';
    const pool = {
      kind: 'IPPool',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'default-ipv4-ippool' },
      spec: { cidr: '192.168.7.0/29', blockSize: 30, ipipMode: 'Always' },
    };
    host.exec([etcdctl, `--endpoints=${lab.etcdEndpoint}`, 'put', key, JSON.stringify(pool)]);
    await eventually('not ready', () => !host.http(9099, '/readiness').ok);
    const text = host.exec(['curl', '-s', 'http://127.0.0.1:9099/readiness']);
    assert.match(text, /ipipMode Always/);
    assert.match(text, /networking\.settings\.ippool\.ipip\.mode: Never/);
    assert.ok(host.log('agent').includes('ipip.mode'));
  });
});
