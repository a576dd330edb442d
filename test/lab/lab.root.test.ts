// Agent, speaker and etcd as real processes on namespaces: the path of the slides without Kubernetes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { attempt, eventually, run } from './command.ts';
import { CONFIG, ended, type Lab, type LabPod, openLab } from './lab.ts';

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

  test('the route tables have the shape of the slides', () => {
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
    assert.equal((await host.cni(lab.environment('CHECK', pod), CONFIG)).exit, 0);
    assert.equal((await lab.deletePod(host, pod)).exit, 0);
    assert.equal((await lab.deletePod(host, pod)).exit, 0);
    assert.notEqual((await host.cni(lab.environment('CHECK', pod), CONFIG)).exit, 0);
    assert.doesNotMatch(host.routes(), new RegExp(`^${pod.ip.replaceAll('.', '\\.')} `, 'm'));
  });

  test('a restart of the agent loses no packet', async () => {
    const host = lab.host(0);
    const ping = spawn('ip', ['netns', 'exec', a.netns, 'ping', '-i', '0.01', '-q', b.ip]);
    let output = '';
    ping.stdout.on('data', (text) => {
      output += String(text);
    });
    await ended(host.agent!, 'SIGTERM');
    await host.startAgent();
    const closed = new Promise((resolve) => ping.once('close', resolve));
    ping.kill('SIGINT');
    await closed;
    assert.match(output, / 0% packet loss/);
  });

  test('NAT outgoing and default deny of unknown interfaces are in the kernel', () => {
    const rules = lab.host(0).exec(['iptables-nft-save']);
    assert.match(rules, /cali-nat-outgoing .*cali40masq-ipam-pools src .* -j MASQUERADE/);
    assert.match(rules, /cali-from-wl-dispatch .*"Unknown interface" -j DROP/);
  });

  test('routes of a host go when its speaker dies', async () => {
    const speaker = lab.host(1).speaker!;
    await ended(speaker, 'SIGKILL');
    const via = new RegExp(`via ${lab.host(1).address.replaceAll('.', '\\.')} .*proto bird`);
    await eventually('the route is withdrawn', () => !via.test(lab.host(0).routes()), 20_000);
    await lab.host(1).startSpeaker();
    await eventually('the route is back', () => via.test(lab.host(0).routes()), 20_000);
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
  });
});

describe('kill -9 between any two steps of ADD', { timeout: 180_000 }, () => {
  let lab: Lab;
  const POINTS = [
    'add:start',
    'add:veth',
    'add:assigned',
    'add:configured',
    'add:routed',
    'add:programmed',
  ];

  before(async () => {
    lab = await openLab(1);
  });
  after(() => lab?.stop());

  test('nothing leaks, no address is given twice', async () => {
    const host = lab.host(0);
    await host.startAgent();
    const first = await lab.addPod(host, 'first');
    for (const [i, point] of POINTS.entries()) {
      await ended(host.agent!, 'SIGTERM');
      await host.startAgent({ CALICO_FAILPOINT: point });
      const pod = lab.newPod(`crash${i}`);
      await host.cni(lab.environment('ADD', pod), CONFIG).catch(() => {});
      await eventually(`${point}: the agent died`, () => host.agent!.signalCode === 'SIGKILL');
      await host.startAgent();
      // The runtime tears the failed sandbox down, then makes it anew.
      assert.equal((await lab.deletePod(host, pod)).exit, 0, point);
      run(['ip', 'netns', 'delete', pod.netns]);
    }
    const second = await lab.addPod(host, 'second');
    assert.notEqual(second.ip, first.ip);
    const calis = host
      .exec(['ip', '-br', 'link'])
      .split('\n')
      .filter((line) => line.startsWith('cali'));
    assert.equal(calis.length, 2, calis.join('\n'));
    const handles = await keys(lab, '/calico/ipam/v2/handle/');
    assert.deepEqual(handles, ['k8s-pod-network.cid-first', 'k8s-pod-network.cid-second']);
    const endpoints = await keys(lab, '/calico/resources/v3/projectcalico.org/workloadendpoints/');
    assert.equal(endpoints.length, 2);
  });
});

async function keys(lab: Lab, prefix: string): Promise<string[]> {
  const { toolPath } = await import('../cluster/tools.ts');
  const etcdctl = await toolPath('etcdctl');
  const host = lab.host(0);
  const output = host.exec([
    etcdctl,
    `--endpoints=${lab.etcdEndpoint}`,
    'get',
    prefix,
    '--prefix',
    '--keys-only',
  ]);
  return output
    .split('\n')
    .filter(Boolean)
    .map((key) => key.slice(prefix.length))
    .sort();
}
