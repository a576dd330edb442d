// Whatever happens to the kernel and to what is learned: in the end the kernel holds what the whole
// of it demands, found here by a look at everything, and nothing of others was touched.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KernelEvent, LinkChange, Route } from '../kernel/kernel.ts';
import { memoryKernel } from '../kernel/memory.ts';
import { type Cidr, cidr } from '../net/cidr.ts';
import { type Ip, ip } from '../net/ip.ts';
import { desiredRoute, type RouteFacts } from './desired.ts';
import { sameRoute } from './plan.ts';
import { Resolver } from './resolver.ts';
import { RouteSync } from './sync.ts';
import { isMarked } from './writer.ts';

const PREFIXES = [
  '192.168.1.0/26',
  '192.168.2.0/26',
  '192.168.2.7/32',
  '172.16.0.0/12',
  'fd00:10::/122',
].map(cidr);
const HOPS = ['10.1.0.2', '10.1.0.3', '10.2.0.2', '10.9.0.9'].map(ip);
/** What others route: networks that hold next hops, and prefixes of ours. */
const FOREIGN = ['10.1.0.0/24', '10.2.0.0/24', '10.9.0.0/16', '0.0.0.0/0', ...PREFIXES].map(cidr);

const base = { scope: 'global', onlink: false } as const;
const metricOf = (prefix: Cidr): number => (prefix.includes(':') ? 1024 : 0);

const someHops = fc.uniqueArray(fc.constantFrom(...HOPS), { maxLength: 3 });
const somePrefix = fc.constantFrom(...PREFIXES);
const anyStep = fc.oneof(
  fc.record({ kind: fc.constant('learn'), prefix: somePrefix, hops: someHops }),
  fc.record({ kind: fc.constant('own'), prefix: somePrefix, on: fc.boolean() }),
  fc.record({ kind: fc.constant('hold'), prefix: somePrefix, on: fc.boolean() }),
  fc.record({ kind: fc.constant('damage'), prefix: somePrefix, how: fc.nat(2) }),
  fc.record({
    kind: fc.constant('foreign'),
    prefix: fc.constantFrom(...FOREIGN),
    link: fc.nat(1),
    on: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('link'), link: fc.nat(1), up: fc.boolean() }),
  fc.record({ kind: fc.constant('ignore'), link: fc.nat(1), on: fc.boolean() }),
  fc.record({ kind: fc.constant('sweep') }),
  fc.record({ kind: fc.constant('audit') }),
);
type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

/** A node whose kernel and peers do as the steps say. */
function node() {
  const kernel = memoryKernel();
  const links = ['eth0', 'eth1'].map((name) => kernel.addLink({ name, mtu: 1500, up: true }));
  const events: KernelEvent[] = [];
  kernel.subscribe((event) => events.push(event), new AbortController().signal);
  const sync = new RouteSync();
  const learned = new Map<Cidr, readonly Ip[]>();
  const [blackholes, held] = [new Set<Cidr>(), new Set<Cidr>()];
  const ignored = new Set<number>();
  const facts = (): RouteFacts => ({
    blackholes: new Set(blackholes),
    held: new Set(held),
    statics: new Map(),
    ignoredLinks: new Set(ignored),
    pools: [],
    subnets: [],
    tunnelLink: undefined,
  });
  const adopted: Route = {
    ...base,
    destination: PREFIXES[1]!,
    kind: 'unicast',
    gateway: HOPS[0]!,
    linkIndex: links[0]!.index,
    protocol: 12,
    metric: 0,
  };
  kernel.apply([{ kind: 'addRoute', route: adopted }]);
  sync.begin(kernel.routes());
  const arrive = async (): Promise<void> => {
    await Promise.resolve();
    await Promise.resolve();
  };
  const hear = async (): Promise<void> => {
    await arrive();
    for (const event of events.splice(0)) sync.heard(event);
  };
  const audit = (): void => {
    sync.beginAudit();
    for (const part of kernel.routeParts()) sync.auditPart(part);
    sync.endAudit();
  };
  const write = async (): Promise<void> => {
    await arrive();
    // Who takes the place of a route of ours is replaced, until we have heard of it.
    const unheard = new Set(events.map((e) => (e.kind === 'route' ? e.route.destination : '')));
    const foreign = (): readonly Route[] =>
      kernel.routes().filter((route) => !isMarked(route) && !unheard.has(route.destination));
    const before = foreign();
    const changes = sync.take(3);
    sync.done(changes, kernel.applyEach(changes));
    assert.deepEqual(foreign(), before);
  };
  /** Until nothing is left to do. */
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 60; i++) {
      await hear();
      if (sync.needsAudit) audit();
      sync.retry();
      await write();
      if (sync.isSettled && !sync.needsAudit && events.length === 0) return;
    }
  };
  return {
    kernel,
    links,
    sync,
    learned,
    blackholes,
    held,
    ignored,
    facts,
    settle,
    write,
    audit,
    adopted,
  };
}

type Node = ReturnType<typeof node>;

function take(n: Node, step: Step): unknown {
  const toggle = (set: Set<Cidr>, prefix: Cidr, on: boolean): void => {
    if (on) set.add(prefix);
    else set.delete(prefix);
    n.sync.setFacts(n.facts());
  };
  const tryAll = (...changes: LinkChange[]): void => void n.kernel.applyEach(changes);
  switch (step.kind) {
    case 'learn':
      n.learned.set(step.prefix, step.hops);
      n.sync.learned([{ prefix: step.prefix, nextHops: step.hops }]);
      return undefined;
    case 'own':
      return toggle(n.blackholes, step.prefix, step.on);
    case 'hold':
      return toggle(n.held, step.prefix, step.on);
    case 'damage': {
      const present = n.kernel.routes({ protocol: 12 });
      const route = present.find(({ destination }) => destination === step.prefix);
      if (!route) return undefined;
      if (step.how === 0) return tryAll({ kind: 'deleteRoute', route });
      const [gateway, linkIndex] = [ip('10.1.0.77'), n.links[1]!.index];
      const { hops: _, ...single } = route;
      const wrong: Route = { ...single, kind: 'unicast', gateway, linkIndex };
      return tryAll({
        kind: 'replaceRoute',
        route: step.how === 1 ? wrong : { ...wrong, protocol: 4 },
      });
    }
    case 'foreign': {
      const { prefix: destination, link } = step;
      const linkIndex = n.links[link]!.index;
      const metric = metricOf(destination);
      const route: Route = {
        ...base,
        destination,
        kind: 'unicast',
        linkIndex,
        protocol: 4,
        metric,
      };
      return tryAll(step.on ? { kind: 'addRoute', route } : { kind: 'deleteRoute', route });
    }
    case 'link':
      return tryAll({ kind: 'setLink', index: n.links[step.link]!.index, up: step.up });
    case 'ignore': {
      const { index } = n.links[step.link]!;
      if (step.on) n.ignored.add(index);
      else n.ignored.delete(index);
      return n.sync.setFacts(n.facts());
    }
    case 'sweep':
      return n.sync.sweep();
    case 'audit':
      return n.audit();
  }
}

/** What must be in the kernel, by a look at all of it; undefined: it cannot be. */
function expected(n: Node, prefix: Cidr): Route | undefined {
  const foreign = n.kernel.routes().filter((route) => !isMarked(route));
  if (foreign.some((r) => r.destination === prefix && r.metric === metricOf(prefix)))
    return undefined;
  const resolver = new Resolver();
  resolver.ignore(n.ignored);
  for (const route of foreign)
    resolver.set(
      route.destination,
      foreign.filter(({ destination }) => destination === route.destination),
    );
  const wish = { prefix, nextHops: n.learned.get(prefix) ?? [] };
  const made = desiredRoute(wish, n.facts(), (hop) => resolver.waysTo(hop));
  return typeof made === 'string' ? undefined : made;
}

test('the kernel ends with what is demanded, whatever happened on the way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(anyStep, fc.nat(2)), { maxLength: 40 }), async (steps) => {
      const n = node();
      for (const [step, then] of steps) {
        take(n, step);
        if (then === 1) await n.write();
        if (then === 2) await n.settle();
      }
      n.sync.sweep();
      for (const { index } of n.links) n.kernel.apply([{ kind: 'setLink', index, up: true }]);
      await n.settle();
      const ours = n.kernel.routes({ protocol: 12 });
      for (const prefix of PREFIXES) {
        const [present, ...more] = ours.filter(({ destination }) => destination === prefix);
        const want = expected(n, prefix);
        assert.equal(more.length, 0);
        assert.equal(present === undefined, want === undefined, `${prefix} ${n.sync.problems}`);
        if (present && want) assert.ok(sameRoute(present, want));
      }
    }),
    { numRuns: 300 },
  );
});

test('what an earlier run left stays until the sweep, and is claimed without a write', async () => {
  const n = node();
  await n.settle();
  assert.deepEqual(n.kernel.routes({ protocol: 12 }), [n.adopted]);
  const { destination, gateway } = n.adopted;
  n.sync.learned([{ prefix: destination, nextHops: [gateway!] }]);
  n.kernel.apply([
    {
      kind: 'addRoute',
      route: { ...n.adopted, destination: cidr('10.1.0.0/24'), gateway: undefined, protocol: 2 },
    },
  ]);
  await n.settle();
  assert.deepEqual(n.sync.take(10), []);
  n.sync.sweep();
  await n.settle();
  assert.deepEqual(n.kernel.routes({ protocol: 12 }), [n.adopted]);
});

test('a next hop has a way as long as somebody else routes it, by its own gateway where it has one', () => {
  const sync = new RouteSync();
  const route = (destination: string, more: Partial<Route> = {}): Route => ({
    ...{ ...base, destination: cidr(destination), kind: 'unicast', linkIndex: 2 },
    ...{ protocol: 2, metric: 0, ...more },
  });
  sync.begin([route('10.1.0.0/24'), route('10.9.0.0/16', { protocol: 12, gateway: HOPS[0]! })]);
  assert.deepEqual(
    HOPS.map((hop) => sync.hasWay(hop)),
    [true, true, false, false],
  );
  const [near, , , far] = HOPS as [Ip, Ip, Ip, Ip];
  const facts = { ...node().facts(), statics: new Map([[cidr('10.9.0.9/32'), near]]) };
  sync.setFacts(facts);
  assert.equal(sync.hasWay(far), true);
  sync.heard({ kind: 'route', gone: true, route: route('10.1.0.0/24') });
  sync.take(100);
  assert.equal(sync.takeOtherWays(), true);
  assert.deepEqual(
    [near, far].map((hop) => sync.hasWay(hop)),
    [false, false],
  );
});
