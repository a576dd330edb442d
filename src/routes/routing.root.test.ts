// Kernel sync on the real kernel: what others do to our routes is mended, theirs stay.
import assert from 'node:assert/strict';
import { promises as fs } from 'node:fs';
import { before, test } from 'node:test';
import { eventually, run } from '../../test/lab/command.ts';
import { inFreshNetns } from '../../test/lab/netns.ts';
import { systemClock } from '../base/clock.io.ts';
import { openLog } from '../base/log.io.ts';
import type { Kernel, Route } from '../kernel/kernel.ts';
import { openKernelAt } from '../kernel/netns.io.ts';
import { type Cidr, cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { Routing } from './routing.io.ts';

before(() => fs.readFile('/proc/self/comm')); // libuv's pool starts in the home namespace

interface World {
  readonly kernel: Kernel;
  readonly netns: string;
  /** Runs `ip` inside; a text split at spaces. */
  readonly ip: (words: string) => string;
  readonly open: () => Routing;
  readonly learn: (routing: Routing, prefix: Cidr, ...nextHops: string[]) => void;
  readonly at: (prefix: Cidr) => readonly Route[];
  readonly ours: () => readonly Route[];
  /** Grows whenever next hops are reached in other ways. */
  readonly news: readonly Routing[];
}

let number = 0;

/** A node with two links, 10.71.0.0/24 and 10.72.0.0/24, and their IPv6 networks. */
const world = (what: string, work: (world: World) => Promise<void>): void =>
  void test(`routes on Linux: ${what}`, { timeout: 60_000 }, () =>
    inFreshNetns(`ckt-rt-${process.pid}-${++number}`, 1, async ([netns], [path]) => {
      const ipIn = (words: string): string => run(['ip', '-n', netns!, ...words.split(' ')]);
      for (const i of [1, 2]) {
        ipIn(`link add d${i} type veth peer name p${i}`);
        for (const end of ['d', 'p']) ipIn(`link set ${end}${i} up`);
        ipIn(`addr add 10.7${i}.0.1/24 dev d${i}`);
        ipIn(`addr add fd00:7${i}::1/64 dev d${i} nodad`);
      }
      const kernel = openKernelAt(path!);
      const running: Routing[] = [];
      const news: Routing[] = [];
      const open = (): Routing => {
        const address = { ip: ip('10.71.0.1'), prefixLength: 24 };
        const own = { blackholes: [cidr('192.168.0.0/26')], held: new Set<Cidr>() };
        const routing = new Routing({
          kernel,
          clock: systemClock,
          log: openLog('test', 'fatal'),
          demand: () => ({ own, pools: [], addresses: [address] }),
          otherWays: () => void news.push(routing),
        });
        running.push(routing);
        return routing;
      };
      const learn = (routing: Routing, prefix: Cidr, ...nextHops: string[]): void =>
        routing.learned([{ prefix, nextHops: nextHops.map(ip) }]);
      const ours = () => kernel.routes({ protocol: 12 });
      const at = (prefix: Cidr) =>
        kernel.routes().filter(({ destination }) => destination === prefix);
      try {
        await work({ kernel, netns: netns!, ip: ipIn, open, learn, ours, at, news });
      } finally {
        for (const routing of running) routing.close();
        kernel.close();
      }
    }),
  );

const P = cidr('192.168.1.0/26');
const Q = cidr('fd00:10:1::/122');
const [A, B] = ['10.71.0.2', '10.72.0.2'];
const [A6, B6] = ['fd00:71::2', 'fd00:72::2'];

world('ours deleted or changed by hand are back within a second', async (w) => {
  const routing = w.open();
  routing.changed();
  w.learn(routing, P, A);
  w.learn(routing, Q, A6, B6);
  await eventually('written', () => w.ours().length === 3);
  const right = JSON.stringify([w.at(P), w.at(Q).map((r) => r.hops?.length)]);
  for (const damage of [
    `route del ${P}`,
    `route replace ${P} via 10.71.0.9 proto bird`,
    `route replace blackhole ${P} proto bird`,
    `-6 route del ${Q}`,
    `-6 route del ${Q} via ${A6} dev d1`,
    `-6 route replace ${Q} via ${A6} proto bird`,
    `route flush proto bird`,
  ]) {
    w.ip(damage);
    const mended = () =>
      JSON.stringify([w.at(P), w.at(Q).map((r) => r.hops?.length)]) === right &&
      w.ours().length === 3;
    await eventually(`mended after: ${damage}`, mended, 1000);
  }
});

world('over which link a next hop is reached, and word of it when it is another', async (w) => {
  const routing = w.open();
  assert.equal(routing.interfaceTo(ip(A)), undefined, 'nothing is known yet');
  routing.changed();
  await eventually('read', () => routing.interfaceTo(ip(A)) === 'd1');
  assert.deepEqual(
    [B, B6].map((hop) => routing.interfaceTo(ip(hop))),
    ['d2', 'd2'],
  );
  const far = ip('10.99.0.5');
  assert.equal(routing.interfaceTo(far), undefined);
  for (const [gateway, link] of [
    [A, 'd1'],
    [B, 'd2'],
  ]) {
    const before = w.news.length;
    w.ip(`route replace 10.99.0.0/24 via ${gateway}`);
    await eventually(link!, () => routing.interfaceTo(far) === link && w.news.length > before);
  }
  w.ip('link add d3 type veth peer name p3');
  for (const end of ['d3', 'p3']) w.ip(`link set ${end} up`);
  w.ip('route replace 10.99.0.0/24 dev d3');
  await eventually('a link that came later', () => routing.interfaceTo(far) === 'd3');
});

world("others' routes stay, are named, and give way only by themselves", async (w) => {
  w.ip(`route add ${P} via 10.71.0.9 proto static`);
  const routing = w.open();
  routing.changed();
  w.learn(routing, P, A);
  await eventually('named', () => routing.problems.length === 1);
  assert.match(routing.problems[0]!, /192\.168\.1\.0\/26: a route of protocol 4 is there/);
  assert.deepEqual(
    w.at(P).map(({ gateway }) => gateway),
    ['10.71.0.9'],
  );
  w.ip(`route del ${P}`);
  await eventually('ours', () => w.at(P)[0]?.gateway === A && routing.problems.length === 0);
  // It took the place of ours: from now on it is another's.
  w.ip(`route replace ${P} via 10.71.0.9 proto static`);
  await eventually('named again', () => routing.problems.length === 1);
  w.ip(`route del ${P}`);
  await eventually('ours again', () => w.at(P)[0]?.gateway === A);
  // One that stands behind ours is in nobody's way.
  w.ip(`route append ${P} via 10.71.0.9 proto static`);
  w.learn(routing, P, B);
  await eventually('changed', () => w.at(P).some(({ gateway }) => gateway === B), 3000);
  await eventually('no problem', () => routing.problems.length === 0, 3000);
});

world('a link that goes down takes its routes along; they come back with it', async (w) => {
  const routing = w.open();
  routing.changed();
  w.learn(routing, P, A);
  w.learn(routing, Q, A6, B6);
  const both = () => w.at(P).length === 1 && w.at(Q)[0]?.hops?.length === 2;
  await eventually('written', both);
  w.ip('link set d1 down');
  await eventually('the other way alone', () => w.at(Q)[0]?.gateway === B6, 3000);
  await eventually('named', () => routing.problems.some((p) => p.startsWith(P)), 3000);
  w.ip('link set d1 up');
  w.ip('addr replace fd00:71::1/64 dev d1 nodad');
  await eventually('back', both, 3000);
  w.ip('addr del 10.71.0.1/24 dev d1');
  await eventually('gone with the address', () => w.at(P).length === 0, 3000);
  w.ip('addr add 10.71.0.1/24 dev d1');
  await eventually('back with the address', both, 3000);
});

world('a restart adopts what is there without a write, and sweeps at the end', async (w) => {
  const first = w.open();
  first.changed();
  const prefixes = Array.from({ length: 600 }, (_, i) =>
    cidr(`172.16.${i >> 2}.${(i & 3) * 64}/26`),
  );
  for (const prefix of prefixes) w.learn(first, prefix, A, B);
  await eventually('written', () => w.ours().length === 601);
  first.close();
  assert.equal(w.ours().length, 601);
  const written: string[] = [];
  const kernel = w.kernel as { applyEach: Kernel['applyEach'] };
  const apply = kernel.applyEach.bind(kernel);
  kernel.applyEach = (changes) => {
    for (const change of changes)
      written.push(`${change.kind} ${'route' in change ? change.route.destination : ''}`);
    return apply(changes);
  };
  const second = w.open();
  second.changed();
  for (const prefix of prefixes.slice(1)) w.learn(second, prefix, B, A);
  w.learn(second, P, A);
  await eventually('the new one', () => w.at(P).length === 1);
  assert.deepEqual(written, [`addRoute ${P}`]);
  second.sweep();
  await eventually('swept', () => w.at(prefixes[0]!).length === 0);
  assert.deepEqual(written.slice(1), [`deleteRoute ${prefixes[0]}`]);
});

world('an overrun of notifications: what was missed is found', async (w) => {
  const routing = w.open();
  routing.changed();
  w.learn(routing, P, A);
  await eventually('written', () => w.at(P).length === 1);
  // The loop is busy here: nothing is read meanwhile, and more happens than is kept for us.
  const noise = Array.from({ length: 15_000 }, (_, i) => ({
    kind: 'addRoute' as const,
    route: { ...w.at(P)[0]!, destination: cidr(`10.${i >> 8}.${i & 255}.0/24`), protocol: 4 },
  }));
  w.kernel.applyEach(noise);
  w.kernel.applyEach(noise.map(({ route }) => ({ kind: 'deleteRoute' as const, route })));
  w.ip(`route del ${P}`);
  await eventually('found', () => w.at(P).length === 1, 5000);
});
