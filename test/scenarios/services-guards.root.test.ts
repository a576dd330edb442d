// What others got wrong with services (CVE-2020-8554, CVE-2020-8558, CVE-2025-67499 and kube-router's
// external addresses), with packets: what must not be drawn away is not, what must not come in does not.
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openTables } from '../../src/kernel/iptables/tables.io.ts';
import { openKernel } from '../../src/kernel/netns.io.ts';
import { releaseServices } from '../../src/services/write/release.io.ts';
import { netnsPath, type TestNetns } from '../lab/netns.ts';
import { exec } from './policy-pods.ts';
import {
  ask,
  NODE_ADDRESS,
  PORT,
  type ServicesNode,
  service,
  slice,
  withServicesNode,
} from './services-node.ts';

const VIP = '10.96.0.20';
/** A host's on the internet, which no service has a right to. */
const STRANGER = '198.51.100.7';
const NODE_PORT = 30080;
const WHO = join(import.meta.dirname, 'who.ts');

/** Answers `NAME` on a port of all addresses of a namespace while the work lasts. */
async function serving(netns: TestNetns, name: string, port: number, work: () => Promise<void>) {
  const child: ChildProcess = fork(WHO, ['serve', name, String(port)], {
    execPath: 'ip',
    execArgv: ['netns', 'exec', netns.name, process.execPath],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    await once(child, 'message');
    await work();
  } finally {
    child.kill('SIGKILL');
  }
}

/** A service of a whole cluster, behind which the pods are. */
function put({ kubernetes, pods }: ServicesNode, spec: object, status: object = {}): void {
  const ports = [{ name: '', protocol: 'TCP', port: 80, targetPort: PORT, nodePort: NODE_PORT }];
  const object = service(
    'web',
    { type: 'LoadBalancer', clusterIP: VIP, clusterIPs: [VIP], ports, ...spec },
    { status },
  );
  kubernetes.put('wholeservices', object);
  kubernetes.put('wholeendpointslices', slice('web', pods.slice(0, 1)));
}

const firstWord = (answer: string | undefined): string | undefined => answer?.split(' ')[0];

test('an external address that nobody has given to services is its owner’s (CVE-2020-8554)', () =>
  withServicesNode(['a', 'b'], async (bench) => {
    const { outside, pods, start, kubernetes } = bench;
    exec(outside, 'ip', 'address', 'add', `${STRANGER}/32`, 'dev', 'lo');
    await serving(outside, 'stranger', 80, async () => {
      const call = () => firstWord(ask({ from: pods[1]!.netns, to: STRANGER, port: 80 }));
      put(bench, { externalIPs: [STRANGER] });
      const { engine } = await start();
      assert.equal(call(), 'stranger');
      await engine.close();
      // Who means it says so.
      const ranges = { CALICO_SERVICE_PROXY_EXTERNAL_CIDRS: '198.51.100.0/24' };
      const { settled } = await start({}, ranges);
      assert.equal(call(), 'a');
      put(bench, {});
      await settled();
      assert.equal(call(), 'stranger');
      kubernetes.remove('wholeservices', 'web', 'default');
    });
  }));

test('a pod’s or another service’s address is neither an external nor a load balancer’s one', () =>
  withServicesNode(['a', 'b', 'c'], async (bench) => {
    const { pods, start, kubernetes } = bench;
    const [, b, c] = pods as [unknown, (typeof pods)[0], (typeof pods)[0]];
    const other = '10.96.0.99';
    const ports = [{ name: '', protocol: 'TCP', port: 80, targetPort: PORT }];
    kubernetes.put(
      'wholeservices',
      service('other', { clusterIP: other, clusterIPs: [other], ports }),
    );
    kubernetes.put('wholeendpointslices', slice('other', [b]));
    const drawn = [b.address, other];
    await start({}, { CALICO_SERVICE_PROXY_EXTERNAL_CIDRS: '0.0.0.0/0' });
    await serving(b.netns, 'really-b', 80, async () => {
      for (const [spec, status] of [
        [{ externalIPs: drawn }, {}],
        [{}, { loadBalancer: { ingress: drawn.map((ip) => ({ ip })) } }],
      ] as const) {
        put(bench, spec, status);
        // Whether it is there yet: its own address answers.
        while (!ask({ from: c.netns, to: VIP, port: 80 })) await new Promise(setImmediate);
        assert.equal(firstWord(ask({ from: c.netns, to: b.address, port: 80 })), 'really-b');
        assert.equal(firstWord(ask({ from: c.netns, to: other, port: 80 })), 'b');
        kubernetes.remove('wholeservices', 'web', 'default');
        while (ask({ from: c.netns, to: VIP, port: 80 })) await new Promise(setImmediate);
      }
    });
  }));

test('a neighbour does not reach what listens on the node’s loopback (CVE-2020-8558)', () =>
  withServicesNode(['a'], async (bench) => {
    const { node, outside, start } = bench;
    put(bench, { type: 'NodePort' });
    await start();
    assert.match(exec(node, 'sysctl', '-n', 'net.ipv4.conf.all.route_localnet'), /^0/);
    assert.match(exec(node, 'sysctl', '-n', 'net.ipv4.conf.uplink.route_localnet'), /^0/);
    attack(outside, NODE_ADDRESS);
    await serving(node, 'loopback', 7777, async () => {
      const call = (to: string, port: number) => ask({ from: outside, to, port });
      assert.equal(firstWord(call(NODE_ADDRESS, 7777)), 'loopback', 'the way there is open');
      assert.equal(call('127.0.0.1', 7777), undefined);
      assert.equal(call('127.0.0.1', NODE_PORT), undefined);
    });
  }));

/** Makes a host send packets for a loopback address to the node, by its hardware address. */
function attack(host: TestNetns, through: string): void {
  exec(host, 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
  exec(host, 'ip', 'address', 'flush', 'dev', 'lo');
  exec(host, 'ip', 'route', 'add', '127.0.0.1/32', 'via', through, 'dev', 'eth0');
}

test('node ports on loopback where asked for: the node may call, nobody else comes in (CVE-2020-8558)', () =>
  withServicesNode(['a', 'b'], async (bench) => {
    const { node, outside, pods, start } = bench;
    put(bench, { type: 'NodePort' });
    const here = () => firstWord(ask({ from: node, to: '127.0.0.1', port: NODE_PORT }));
    exec(node, 'ip', 'link', 'set', 'lo', 'up');
    const plain = await start();
    assert.equal(here(), undefined);
    await plain.engine.close();
    const { engine } = await start({}, { CALICO_SERVICE_PROXY_LOCALHOST_NODE_PORTS: 'true' });
    assert.match(exec(node, 'sysctl', '-n', 'net.ipv4.conf.all.route_localnet'), /^1/);
    assert.equal(here(), 'a');
    // Policy stands before kubelet's guard, and may accept what pods send to their node.
    exec(node, 'iptables-nft', '-I', 'INPUT', '-s', '10.65.0.0/16', '-j', 'ACCEPT');
    const [, attacker] = pods;
    attack(outside, NODE_ADDRESS);
    attack(attacker!.netns, '169.254.1.1');
    await serving(node, 'loopback', 7777, async () => {
      const reached = () =>
        [outside, attacker!.netns].map((from) =>
          firstWord(ask({ from, to: '127.0.0.1', port: 7777 })),
        );
      assert.deepEqual(reached(), [undefined, undefined]);
      await engine.close();
      // What the guards are for: without them both are there.
      exec(node, 'iptables-nft', '-F', 'KUBE-FIREWALL');
      exec(node, 'iptables-nft', '-t', 'raw', '-F', 'KUBE-PROXY-LOCALNET');
      assert.deepEqual(reached(), ['loopback', 'loopback']);
    });
  }));

test('no node ports on loopback any more: the kernel routes there no longer, then the guard goes (CVE-2020-8558)', () =>
  withServicesNode(['a'], async (bench) => {
    const { node, outside, start } = bench;
    put(bench, { type: 'NodePort' });
    exec(node, 'ip', 'link', 'set', 'lo', 'up');
    const here = () => firstWord(ask({ from: node, to: '127.0.0.1', port: NODE_PORT }));
    const routes = () => exec(node, 'sysctl', '-n', 'net.ipv4.conf.all.route_localnet').trim();
    const guard = () =>
      exec(node, 'iptables-nft-save', '-t', 'raw').includes('KUBE-PROXY-LOCALNET');
    const asked = { CALICO_SERVICE_PROXY_LOCALHOST_NODE_PORTS: 'true' };
    const first = await start({}, asked);
    assert.deepEqual([here(), routes(), guard()], ['a', '1', true]);
    await first.engine.close();
    // Switched off, and the agent started again.
    const second = await start();
    assert.deepEqual([here(), routes(), guard()], [undefined, '0', false]);
    attack(outside, NODE_ADDRESS);
    await serving(node, 'loopback', 7777, async () => {
      assert.equal(ask({ from: outside, to: '127.0.0.1', port: 7777 }), undefined);
    });
    await second.engine.close();
    // Or all of services leaves the node.
    const third = await start({}, asked);
    assert.deepEqual([here(), routes(), guard()], ['a', '1', true]);
    await third.engine.close();
    const place = { netnsPath: netnsPath(node.name), backend: 'nft' } as const;
    const [four, six] = [await openTables(place), await openTables({ ...place, family: 6 })];
    await releaseServices(openKernel().enter(place.netnsPath), four, six);
    await Promise.all([four.close(), six.close()]);
    assert.deepEqual([here(), routes(), guard()], [undefined, '0', false]);
  }));

test('only a service’s own address and port are translated (CVE-2025-67499)', () =>
  withServicesNode(['a', 'b'], async (bench) => {
    const { node, outside, pods, start } = bench;
    put(bench, { type: 'NodePort' });
    await start();
    exec(outside, 'ip', 'address', 'add', `${STRANGER}/32`, 'dev', 'lo');
    const from = pods[1]!.netns;
    // The same port of somebody else's address is somebody else's.
    await serving(outside, 'stranger', NODE_PORT, async () => {
      assert.equal(firstWord(ask({ from, to: STRANGER, port: NODE_PORT })), 'stranger');
      assert.equal(firstWord(ask({ from: outside, to: NODE_ADDRESS, port: NODE_PORT })), 'a');
    });
    // Another port of the node is the node's.
    await serving(node, 'node', 80, async () => {
      assert.equal(firstWord(ask({ from, to: NODE_ADDRESS, port: 80 })), 'node');
      assert.equal(ask({ from, to: VIP, port: NODE_PORT }), undefined);
    });
  }));
