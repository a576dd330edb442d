// The kernel port on Linux, in namespaces of its own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { after, test } from 'node:test';
import { inFreshNetns, netnsPath, type TestNetns, withNetns } from '../../test/lab/netns.ts';
import type { OpError } from '../base/op-error.ts';
import { type Cidr, cidr, hostCidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { mac } from '../net/mac.ts';
import { kernelCases } from './kernel.cases.ts';
import { type Kernel, type KernelEvent, ROUTE_PROTOCOL, type Route } from './kernel.ts';
import { inNetnsAt } from './namespaces.io.ts';
import { openKernelAt } from './netns.io.ts';

let number = 0;
const prefix = (): string => `ckt-kernel-${process.pid}-${++number}`;
const open: TestNetns[] = [];
after(() => {
  for (const { remove } of open) remove();
});

kernelCases('linux', () => {
  const [host, pod] = withNetns(prefix(), ['h', 'p']);
  open.push(host!, pod!);
  return {
    kernel: openKernelAt(netnsPath(host!.name)),
    podNetns: netnsPath(pod!.name),
    done: () => {
      host!.remove();
      pod!.remove();
    },
  };
});

/** Runs `work` with the kernel of a fresh namespace, and the path of another one. */
const linux = (
  what: string,
  work: (kernel: Kernel, podNetns: string, netns: string) => void | Promise<void>,
): void =>
  void test(`linux: ${what}`, { timeout: 30_000 }, () =>
    inFreshNetns(prefix(), 2, async (_names, [netns, podNetns]) => {
      const kernel = openKernelAt(netns!);
      try {
        await work(kernel, podNetns!, netns!);
      } finally {
        kernel.close();
      }
    }),
  );

const blackhole = (destination: Cidr): Route => ({
  destination,
  kind: 'blackhole',
  scope: 'global',
  onlink: false,
  protocol: ROUTE_PROTOCOL.bird,
  metric: 0,
});
const many = (count: number): readonly Route[] =>
  Array.from({ length: count }, (_, i) => blackhole(cidr(`10.${i >> 8}.${i & 255}.0/24`)));

linux('6,000 routes in one batch, all read back, all deleted', (kernel) => {
  const routes = many(6000);
  const written = (): number => kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length;
  kernel.apply(routes.map((route) => ({ kind: 'addRoute', route })));
  assert.equal(written(), 6000);
  kernel.apply(routes.map((route) => ({ kind: 'deleteRoute', route })));
  assert.equal(written(), 0);
});

linux('a refusal carries the words of the kernel', (kernel) => {
  const gateway = { kind: 'unicast', gateway: ip('10.1.2.3') } as const;
  const route: Route = { ...blackhole(cidr('10.8.0.0/16')), ...gateway };
  assert.throws(() => kernel.apply([{ kind: 'addRoute', route }]), {
    message: /^add route 10\.8\.0\.0\/16: .*Nexthop has invalid gateway/,
    errno: 101,
  });
});

linux('a name that no link can have is a refusal, not an absence', (kernel) => {
  assert.throws(
    () => kernel.link('x'.repeat(40)),
    (cause: OpError) => cause.errno === 34,
  );
});

linux('an overrun tells that some were lost, and the next event comes', async (kernel) => {
  const stop = new AbortController();
  const lost = Promise.withResolvers<void>();
  const last = Promise.withResolvers<KernelEvent>();
  kernel.subscribe((event) => {
    if (event.kind === 'lost') lost.resolve();
    if (event.kind === 'route' && event.route.destination === '10.255.0.0/16') last.resolve(event);
  }, stop.signal);
  // Nothing is read meanwhile: the loop is busy here.
  const routes = many(15_000);
  kernel.apply(routes.map((route) => ({ kind: 'addRoute', route })));
  kernel.apply(routes.map((route) => ({ kind: 'deleteRoute', route })));
  await lost.promise;
  kernel.apply([{ kind: 'addRoute', route: blackhole(cidr('10.255.0.0/16')) }]);
  const event = await last.promise;
  assert.equal(event.kind === 'route' && event.gone, false);
  stop.abort();
});

linux('the thread and the pool of threads stay at home', async (kernel, podNetns) => {
  const home = readlinkSync('/proc/thread-self/ns/net');
  const [inside, fromPool] = inNetnsAt(podNetns, () => [
    readlinkSync('/proc/thread-self/ns/net'),
    readlink('/proc/thread-self/ns/net'), // what no section should do
  ]);
  assert.notEqual(inside, home);
  assert.equal(await fromPool, home);
  assert.throws(() => inNetnsAt(podNetns, () => assert.fail('inside')), /inside/);
  assert.throws(() => kernel.enter('/proc/self/comm'), { errno: 2 }); // a file, no namespace
  assert.equal(readlinkSync('/proc/thread-self/ns/net'), home);
});

linux('links go off the main thread, several at once', async (kernel, podNetns) => {
  const names = Array.from({ length: 8 }, (_, i) => `cali${i}`);
  for (const name of names)
    await kernel.addVeth({ name, peer: `e${name}`, peerNetns: podNetns, mtu: 1440 });
  assert.deepEqual(
    await Promise.all(names.map((name) => kernel.deleteLink(name))),
    names.map(() => true),
  );
  assert.ok(!kernel.links().some(({ name }) => name.startsWith('cali')));
});

const HOST_MAC = mac('ee:ee:ee:ee:ee:ee');
const GATEWAY = ip('169.254.1.1');

async function addPod(kernel: Kernel, podNetns: string, i: number): Promise<void> {
  const [name, peer] = [`cali${i}`, `eth${i}`];
  const host = await kernel.addVeth({ name, peer, peerNetns: podNetns, mtu: 1440 });
  kernel.apply([{ kind: 'setLink', index: host.index, up: true, mac: HOST_MAC }]);
  const inside = kernel.enter(podNetns);
  const linkIndex = inside.link(peer)!.index;
  const pod = ip(`10.0.0.${i}`);
  const route = { ...blackhole(hostCidr(pod)), kind: 'unicast', scope: 'link' } as const;
  const gateway = { ...route, destination: hostCidr(GATEWAY), linkIndex, metric: i };
  inside.apply([
    { kind: 'setLink', index: linkIndex, up: true },
    { kind: 'addAddress', linkIndex, ip: pod, prefixLength: 32 },
    { kind: 'addRoute', route: gateway },
    { kind: 'setNeighbour', linkIndex, ip: GATEWAY, mac: HOST_MAC },
  ]);
  inside.close();
  kernel.setSysctl(`ipv4/conf/${name}/proxy_arp`, '1');
  kernel.setSysctl(`ipv4/conf/${name}/forwarding`, '1');
  kernel.setSysctl(`ipv4/neigh/${name}/proxy_delay`, '0');
  kernel.apply([{ kind: 'addRoute', route: { ...route, linkIndex: host.index } }]);
}

linux('60 pods, one after the other', async (kernel, podNetns) => {
  const times: number[] = [];
  for (let i = 0; i < 60; i++) {
    const started = performance.now();
    await addPod(kernel, podNetns, i + 1);
    times.push(performance.now() - started);
  }
  times.sort((a, b) => a - b);
  console.log(`one pod: ${times[30]!.toFixed(2)} ms, p95 ${times[57]!.toFixed(2)} ms`);
  assert.equal(kernel.routes({ protocol: ROUTE_PROTOCOL.bird }).length, 60);
});

linux('sysctls of a namespace beyond the life of one procfs of our own', (kernel, podNetns) => {
  const inside = kernel.enter(podNetns);
  for (let i = 0; i < 70; i++) {
    inside.setSysctl('ipv4/ip_forward', String(i % 2));
    assert.equal(inside.getSysctl('ipv4/ip_forward'), String(i % 2));
  }
  kernel.setSysctl('ipv4/ip_forward', '1');
  inside.setSysctl('ipv4/ip_forward', '0');
  assert.equal(kernel.getSysctl('ipv4/ip_forward'), '1');
  const proc = execFileSync('findmnt', ['-n', '-t', 'proc'], { encoding: 'utf8' });
  assert.equal(proc.trim().split('\n').length, 1, 'in no file tree');
  inside.close();
});
