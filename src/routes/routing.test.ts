import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openLog } from '../base/log.io.ts';
import { OpError } from '../base/op-error.ts';
import type { Kernel, KernelEvent, LinkChange, Route } from '../kernel/kernel.ts';
import { memoryKernel } from '../kernel/memory.ts';
import { type Cidr, cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import type { RoutePool } from './desired.ts';
import { Routing } from './routing.io.ts';

const base = { kind: 'unicast', scope: 'global', onlink: false, metric: 0 } as const;

/** A node with one link, some routes already there, and a demand that tests change. */
function node(t: TestContext, ...present: Partial<Route>[]) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
  const kernel = memoryKernel();
  const address = { ip: ip('10.200.0.11'), prefixLength: 24 };
  const link = kernel.addLink({ name: 'eth0', mtu: 1500, up: true }, [
    { ...address, scope: 'global' },
  ]);
  const connected = { destination: cidr('10.200.0.0/24'), scope: 'link', protocol: 2 } as const;
  for (const route of [connected, ...present]) {
    const destination = route.destination!;
    const whole = { ...base, linkIndex: link.index, protocol: 12, ...route, destination };
    kernel.apply([{ kind: 'addRoute', route: whole }]);
  }
  const wanted = {
    blackholes: [] as Cidr[],
    held: new Set<Cidr>(),
    ignored: [] as string[],
    pools: [] as RoutePool[],
  };
  const deaf = { now: false };
  const hears: Kernel['subscribe'] = kernel.subscribe.bind(kernel);
  t.mock.method(kernel, 'subscribe', (listener: (event: KernelEvent) => void, s: AbortSignal) =>
    hears((event) => deaf.now || listener(event), s),
  );
  let now = 0;
  const routing = new Routing({
    kernel,
    clock: { now: () => now, date: () => new Date(0) },
    log: openLog('test', 'fatal'),
    demand: () => ({
      own: { blackholes: wanted.blackholes, held: wanted.held },
      pools: wanted.pools,
      addresses: [address],
      ignoredInterfaces: wanted.ignored,
    }),
  });
  const pass = (milliseconds: number): void => {
    now += milliseconds;
    t.mock.timers.tick(milliseconds);
  };
  const learn = (prefix: Cidr, ...nextHops: string[]): void =>
    routing.learned([{ prefix, nextHops: nextHops.map(ip) }]);
  const ours = (): string[] =>
    kernel
      .routes({ protocol: 12 })
      .map((r) =>
        r.kind === 'blackhole'
          ? `blackhole ${r.destination}`
          : `${r.destination} ${r.gateway ?? r.hops?.map(({ gateway }) => gateway).join()}`,
      )
      .toSorted();
  return { kernel, deaf, wanted, routing, pass, learn, ours, link };
}

/** The kernel's events come on the main loop. */
const told = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await Promise.resolve();
};

const LEFT = { destination: cidr('192.168.2.0/26'), gateway: ip('10.200.0.12') };
const HOP = '10.200.0.12';

test('nothing is written before the demand is known', (t) => {
  const { pass, ours } = node(t, LEFT);
  pass(200_000);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12']);
});

test('what an earlier run left stays until the sweep; blackholes of lost blocks go at once', (t) => {
  const lost: Partial<Route> = { destination: cidr('192.168.9.0/26'), kind: 'blackhole' };
  const { wanted, routing, pass, ours } = node(t, LEFT, lost);
  wanted.blackholes.push(cidr('192.168.1.0/26'));
  routing.changed();
  pass(10);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12', 'blackhole 192.168.1.0/26']);
  routing.sweep();
  pass(10);
  assert.deepEqual(ours(), ['blackhole 192.168.1.0/26']);
});

test('what was claimed and withdrawn goes at once, sweep or not', (t) => {
  const { learn, routing, pass, ours } = node(t, LEFT);
  learn(LEFT.destination, HOP);
  routing.changed();
  pass(10);
  learn(LEFT.destination);
  pass(10);
  assert.deepEqual(ours(), []);
});

test('a deleted route is put back, a changed one set right', async (t) => {
  const { kernel, learn, routing, pass, ours } = node(t);
  learn(LEFT.destination, HOP);
  routing.changed();
  pass(10);
  const [route] = kernel.routes({ protocol: 12 });
  kernel.apply([{ kind: 'deleteRoute', route: route! }]);
  assert.deepEqual(ours(), []);
  await told();
  pass(1000);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12']);
  kernel.apply([{ kind: 'replaceRoute', route: { ...route!, gateway: ip('10.200.0.99') } }]);
  await told();
  pass(1000);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12']);
});

test('the tunnel loses its address, and its routes with it: they are back within a second', async (t) => {
  const { kernel, learn, routing, pass, ours, wanted } = node(t);
  wanted.pools.push({ cidr: cidr('192.168.0.0/16'), ipip: 'Always', vxlan: 'Never' });
  const tunnel = kernel.addLink({ name: 'tunl0', mtu: 1480, up: true });
  const address = { linkIndex: tunnel.index, ip: ip('192.168.1.1'), prefixLength: 32 };
  kernel.apply([{ kind: 'addAddress', ...address }]);
  learn(LEFT.destination, HOP);
  routing.changed();
  pass(10);
  assert.deepEqual(
    kernel.routes({ protocol: 12 }).map(({ linkIndex }) => linkIndex),
    [tunnel.index],
  );
  await told();
  pass(1000);
  kernel.apply([{ kind: 'deleteAddress', ...address }]);
  assert.deepEqual(ours(), []);
  await told();
  for (let i = 0; i < 100; i++) pass(10);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12']);
});

test('a route that the kernel refuses is named and tried again', (t) => {
  const { kernel, learn, routing, pass, ours } = node(t);
  const refusal = t.mock.method(kernel, 'applyEach', (changes: readonly LinkChange[]) =>
    changes.map((_, index) => ({ index, error: new OpError('add route', 'network is down', 100) })),
  );
  learn(LEFT.destination, HOP);
  routing.changed();
  pass(10);
  assert.match(routing.problems.join(), /192\.168\.2\.0\/26: .*down/);
  refusal.mock.restore();
  pass(1000);
  assert.deepEqual([ours(), routing.problems], [['192.168.2.0/26 10.200.0.12'], []]);
});

test('several next hops are one route of several ways, and the ways change with them', (t) => {
  const { learn, routing, pass, ours } = node(t);
  learn(LEFT.destination, HOP, '10.200.0.13');
  routing.changed();
  pass(10);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12,10.200.0.13']);
  learn(LEFT.destination, '10.200.0.13');
  pass(10);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.13']);
});

test('one prefix changes: the table is not read, one change is written', (t) => {
  const { kernel, learn, routing, pass, ours } = node(t);
  for (let i = 0; i < 600; i++) learn(cidr(`192.168.${i >> 2}.${(i & 3) * 64}/26`), HOP);
  routing.changed();
  pass(10);
  for (let i = 0; i < 3; i++) pass(0);
  assert.equal(ours().length, 600);
  const [read, apply] = [t.mock.method(kernel, 'routes'), t.mock.method(kernel, 'applyEach')];
  learn(LEFT.destination, '10.200.0.13');
  pass(10);
  assert.deepEqual(
    [read.mock.callCount(), apply.mock.calls.map((call) => call.arguments[0]?.length)],
    [0, [1]],
  );
});

test('what nobody told us of is found by the audit', async (t) => {
  const { kernel, deaf, learn, routing, pass, ours } = node(t);
  learn(LEFT.destination, HOP);
  routing.changed();
  pass(10);
  const [route] = kernel.routes({ protocol: 12 });
  const stray = { ...route!, destination: cidr('192.168.77.0/26') };
  deaf.now = true;
  kernel.apply([
    { kind: 'deleteRoute', route: route! },
    { kind: 'addRoute', route: stray },
  ]);
  await told();
  pass(80_000);
  assert.deepEqual(ours(), ['192.168.77.0/26 10.200.0.12']);
  pass(10_000);
  for (let i = 0; i < 5; i++) pass(10);
  assert.deepEqual(ours(), ['192.168.2.0/26 10.200.0.12']);
});

test('routes that go silently with an address are back within a second, every time', async (t) => {
  const { kernel, learn, wanted, routing, pass, ours } = node(t);
  const tunnel = { ip: ip('192.168.1.1'), prefixLength: 32 };
  const { index: linkIndex } = kernel.addLink({ name: 'tunl0', mtu: 1480, up: true }, [
    { ...tunnel, scope: 'global' },
  ]);
  wanted.pools.push({ cidr: cidr('192.168.0.0/16'), ipip: 'Always', vxlan: 'Never' });
  learn(LEFT.destination, HOP);
  routing.changed();
  pass(2000);
  const there = [`${LEFT.destination} ${HOP}`];
  assert.deepEqual(ours(), there);
  for (let harm = 0; harm < 5; harm++) {
    kernel.apply([{ kind: 'deleteAddress', linkIndex, ...tunnel }]);
    assert.deepEqual(ours(), []);
    await told();
    pass(20);
    kernel.apply([{ kind: 'addAddress', linkIndex, ...tunnel }]);
    await told();
    let waited = 20;
    for (; ours().length === 0 && waited < 3000; waited += 10) pass(10);
    assert.deepEqual(ours(), there);
    assert.ok(waited <= 500, `back after ${waited} ms`);
  }
});

test('closing leaves the routes', (t) => {
  const { wanted, routing, pass, ours } = node(t);
  wanted.blackholes.push(cidr('192.168.1.0/26'));
  routing.changed();
  pass(10);
  routing.close();
  wanted.blackholes.pop();
  routing.changed();
  pass(200_000);
  assert.deepEqual(ours(), ['blackhole 192.168.1.0/26']);
});

test('no next hop is looked for over an ignored interface, also one that comes later', async (t) => {
  const { kernel, learn, wanted, routing, pass, ours } = node(t);
  learn(LEFT.destination, HOP, '10.201.0.12');
  wanted.ignored.push('docker*');
  routing.changed();
  pass(10);
  const docker = kernel.addLink({ name: 'docker0', mtu: 1500, up: false });
  kernel.apply([{ kind: 'setLink', index: docker.index, up: true }]);
  const connected = { destination: cidr('10.201.0.0/24'), scope: 'link', protocol: 2 } as const;
  kernel.apply([{ kind: 'addRoute', route: { ...base, ...connected, linkIndex: docker.index } }]);
  await told();
  pass(1000);
  assert.deepEqual(ours(), [`${LEFT.destination} ${HOP}`]);
  wanted.ignored.length = 0;
  routing.changed();
  pass(10);
  assert.deepEqual(ours(), [`${LEFT.destination} ${HOP},10.201.0.12`]);
});
