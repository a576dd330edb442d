import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../kernel/kernel.ts';
import type { RouteOwner } from '../model/cluster-routes.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { desiredRoute, HOPS_MAX, type LearnedPrefix, type RouteFacts } from './desired.ts';
import { planPrefix, sameRoute } from './plan.ts';
import { Resolver } from './resolver.ts';
import { AGENT, SOLE_AGENT, SPEAKER, type Writer } from './writer.ts';

const base = { scope: 'global', onlink: false, metric: 0 } as const;
const connected = (prefix: string, linkIndex: number): Route => ({
  ...base,
  destination: cidr(prefix),
  kind: 'unicast',
  linkIndex,
  scope: 'link',
  protocol: 2,
});
const via = (prefix: string, gateway: string, linkIndex: number, protocol = 12): Route => ({
  ...base,
  destination: cidr(prefix),
  kind: 'unicast',
  gateway: ip(gateway),
  linkIndex,
  protocol,
});
const blackhole = (prefix: string, protocol = 12): Route => ({
  ...base,
  destination: cidr(prefix),
  kind: 'blackhole',
  protocol,
});
interface World extends Partial<Omit<RouteFacts, 'blackholes' | 'held' | 'statics'>> {
  readonly blackholes?: readonly string[];
  readonly held?: readonly string[];
  readonly statics?: Readonly<Record<string, string>>;
  readonly learned?: readonly LearnedPrefix[];
  readonly actual?: readonly Route[];
  readonly writer?: Writer;
}

const ACTUAL = [
  connected('10.200.0.0/24', 2),
  connected('10.0.2.0/24', 3),
  via('0.0.0.0/0', '10.0.2.1', 3, 3),
];
const learned = (prefix: string, ...nextHops: string[]): LearnedPrefix => ({
  prefix: cidr(prefix),
  nextHops: nextHops.map(ip),
});

/** The routes of a node, and what keeps others away. */
function routesOf({ blackholes = [], held = [], statics = {}, learned = [], ...more }: World) {
  const { writer, ...rest } = more;
  const { actual = ACTUAL, ...changed } = rest;
  const facts: RouteFacts = {
    blackholes: new Set(blackholes.map(cidr)),
    held: new Set(held.map(cidr)),
    statics: new Map(Object.entries(statics).map(([peer, by]) => [cidr(peer), ip(by)])),
    pools: [{ cidr: cidr('192.168.0.0/16'), ipip: 'Never', vxlan: 'Never' }],
    subnets: [cidr('10.200.0.0/24')],
    tunnelLink: undefined,
    ignoredLinks: new Set(),
    ...changed,
  };
  const resolver = new Resolver();
  for (const route of actual) if (route.protocol !== 12) resolver.set(route.destination, [route]);
  const told = new Map(learned.map((l) => [l.prefix, l.nextHops]));
  const prefixes = new Set([...facts.blackholes, ...facts.statics.keys(), ...told.keys()]);
  const made = [...prefixes].map((prefix) =>
    desiredRoute(
      { prefix, nextHops: told.get(prefix) ?? [] },
      facts,
      (hop) => resolver.waysTo(hop),
      writer,
    ),
  );
  return {
    routes: made.filter((m) => m !== undefined && typeof m !== 'string'),
    problems: made.filter((m) => typeof m === 'string'),
  };
}

test('own blocks are blackholes; a learned address inside one goes its own way', () => {
  const borrowed = learned('192.168.1.7/32', '10.200.0.12');
  assert.deepEqual(routesOf({ blackholes: ['192.168.1.0/26'], learned: [borrowed] }).routes, [
    blackhole('192.168.1.0/26'),
    via('192.168.1.7/32', '10.200.0.12', 2),
  ]);
});

test('what others tell of an address that lives here is not believed', () => {
  const left = learned('192.168.2.7/32', '10.200.0.12');
  const { routes } = routesOf({ held: ['192.168.2.7/32'], learned: [left] });
  assert.deepEqual(routes, []);
});

test('a learned block goes by its next hop on the link that reaches it', () => {
  const { routes } = routesOf({ learned: [learned('192.168.2.0/26', '10.200.0.12')] });
  assert.deepEqual(routes, [via('192.168.2.0/26', '10.200.0.12', 2)]);
});

test('a next hop beyond a router goes by that router, and never by a route of ours', () => {
  const beyond = [learned('192.168.2.0/26', '10.77.0.5')];
  assert.deepEqual(routesOf({ learned: beyond }).routes, [via('192.168.2.0/26', '10.0.2.1', 3)]);
  const actual = [...ACTUAL, via('10.77.0.0/24', '10.200.0.99', 2)];
  assert.deepEqual(routesOf({ learned: beyond, actual }).routes, [
    via('192.168.2.0/26', '10.0.2.1', 3),
  ]);
  const nowhere = routesOf({ learned: beyond, actual: [connected('10.200.0.0/24', 2)] });
  assert.deepEqual(nowhere, {
    routes: [],
    problems: ['192.168.2.0/26: next hop 10.77.0.5 is not reachable'],
  });
});

test('an own block wins over the same prefix learned', () => {
  const { routes } = routesOf({
    blackholes: ['192.168.2.0/26'],
    learned: [learned('192.168.2.0/26', '10.200.0.12')],
  });
  assert.deepEqual(routes, [blackhole('192.168.2.0/26')]);
});

test('encapsulated pools: over tunl0, or not at all, never in the clear', () => {
  const pools = (ipip: 'Always' | 'CrossSubnet', vxlan: 'Never' | 'Always' = 'Never') => [
    { cidr: cidr('192.168.0.0/16'), ipip, vxlan },
  ];
  const near = [learned('192.168.2.0/26', '10.200.0.12')];
  const far = [learned('192.168.2.0/26', '10.77.0.5')];
  const tunnelled = { ...via('192.168.2.0/26', '10.200.0.12', 9), onlink: true };
  assert.deepEqual(routesOf({ pools: pools('Always'), learned: near, tunnelLink: 9 }).routes, [
    tunnelled,
  ]);
  assert.deepEqual(routesOf({ pools: pools('CrossSubnet'), learned: near }).routes, [
    via('192.168.2.0/26', '10.200.0.12', 2),
  ]);
  for (const inputs of [
    { pools: pools('Always'), learned: near },
    { pools: pools('CrossSubnet'), learned: far },
  ]) {
    const { routes, problems } = routesOf(inputs);
    assert.deepEqual([routes.length, problems.length], [0, 1]);
  }
});

test('a VXLAN pool is the agent’s alone: by the other’s device, bare within a subnet', () => {
  const pools = (vxlan: 'Always' | 'CrossSubnet' | 'Never') => [
    { cidr: cidr('192.168.0.0/16'), ipip: 'Never', vxlan } as const,
  ];
  const [near, far] = ['10.200.0.12', '10.77.0.5'].map((hop) => learned('192.168.2.0/26', hop));
  const vteps = new Map([
    [ip('10.200.0.12'), ip('192.168.2.1')],
    [ip('10.77.0.5'), ip('192.168.2.1')],
  ]);
  const overlay = { links: new Map([[4, 7]] as const), vteps };
  const routes = (vxlan: 'Always' | 'CrossSubnet' | 'Never', told: LearnedPrefix, more = {}) =>
    routesOf({ pools: pools(vxlan), learned: [told], overlay, writer: AGENT, ...more });
  const mark = { protocol: 80 };
  const tunnelled = { ...via('192.168.2.0/26', '192.168.2.1', 7), onlink: true, ...mark };
  const bare = { ...via('192.168.2.0/26', '10.200.0.12', 2), ...mark };
  assert.deepEqual(routes('Always', near!).routes, [tunnelled]);
  assert.deepEqual(routes('CrossSubnet', near!).routes, [bare]);
  assert.deepEqual(routes('CrossSubnet', far!).routes, [tunnelled]);
  const nothing = { routes: [], problems: [] };
  assert.deepEqual(routes('Never', near!), nothing);
  for (const vxlan of ['Always', 'CrossSubnet'] as const)
    assert.deepEqual(routes(vxlan, near!, { writer: SPEAKER }), nothing);
  // Without a speaker blackholes of all blocks are the agent's, but it leads to no other pool.
  const hole = { ...blackhole('192.168.1.0/26'), ...mark };
  const blackholes = ['192.168.1.0/26'];
  assert.deepEqual(routes('Never', near!, { blackholes, writer: SOLE_AGENT }).routes, [hole]);
  assert.deepEqual(routes('Never', near!, { blackholes }), nothing);
  // Told to, it leads without encapsulation too; where nobody shall, what is there goes.
  const owned = (owner: RouteOwner) => ({
    blackholes,
    pools: [{ cidr: cidr('192.168.0.0/16'), ipip: 'Never', vxlan: 'Never', owner } as const],
  });
  for (const writer of [AGENT, SOLE_AGENT])
    assert.deepEqual(routes('Never', near!, { ...owned('agent'), writer }).routes, [hole, bare]);
  assert.deepEqual(routes('Never', near!, { ...owned('agent'), writer: SPEAKER }), nothing);
  const holeOfSpeaker = blackhole('192.168.1.0/26');
  assert.deepEqual(routes('Never', near!, { ...owned('nobody'), writer: SPEAKER }).routes, [
    holeOfSpeaker,
  ]);
  assert.deepEqual(routes('Always', near!, { blackholes }).routes, [hole, tunnelled]);
  assert.deepEqual(routes('Always', near!, { overlay: { ...overlay, links: new Map() } }), {
    routes: [],
    problems: ['192.168.2.0/26: there is no VXLAN device on this node'],
  });
  assert.deepEqual(routes('Always', near!, { overlay: { ...overlay, vteps: new Map() } }), {
    routes: [],
    problems: ['192.168.2.0/26: node 10.200.0.12 has no VXLAN address'],
  });
});

test('IPv6 routes carry the metric that the kernel gives them', () => {
  const { routes } = routesOf({ blackholes: ['fd00:10::/122'] });
  assert.equal(routes[0]?.metric, 1024);
});

test('several next hops: one route of several ways; those that nothing leads to are left out', () => {
  const two = learned('192.168.2.0/26', '10.200.0.12', '10.200.0.13', '10.200.0.12');
  const hop = (gateway: string, linkIndex = 2) => ({
    gateway: ip(gateway),
    linkIndex,
    onlink: false,
  });
  const { gateway: _, linkIndex: __, ...bare } = via('192.168.2.0/26', '10.200.0.12', 2);
  assert.deepEqual(routesOf({ learned: [two] }).routes, [
    { ...bare, hops: [hop('10.200.0.12'), hop('10.200.0.13')] },
  ]);
  const near = [connected('10.200.0.0/24', 2)];
  const half = learned('192.168.2.0/26', '10.77.0.5', '10.200.0.13');
  assert.deepEqual(routesOf({ learned: [half], actual: near }), {
    routes: [via('192.168.2.0/26', '10.200.0.13', 2)],
    problems: [],
  });
  const many = Array.from({ length: 40 }, (_, i) => `10.200.0.${i + 10}`);
  const { routes } = routesOf({ learned: [learned('192.168.2.0/26', ...many)] });
  assert.equal(routes[0]?.hops?.length, HOPS_MAX);
});

test('a next hop that several routers lead to is reached by all of them', () => {
  const hops = ['10.0.2.1', '10.0.2.2'].map((g) => ({
    gateway: ip(g),
    linkIndex: 3,
    onlink: false,
  }));
  const { gateway: _, linkIndex: __, ...bare } = via('0.0.0.0/0', '10.0.2.1', 3, 3);
  const actual = [connected('10.0.2.0/24', 3), { ...bare, hops }];
  const { routes } = routesOf({ learned: [learned('192.168.2.0/26', '10.77.0.5')], actual });
  assert.deepEqual(routes[0]?.hops, hops);
});

test('CrossSubnet with a near and a far next hop: one in the clear, one over tunl0', () => {
  const pools = [{ cidr: cidr('192.168.0.0/16'), ipip: 'CrossSubnet', vxlan: 'Never' } as const];
  const both = [learned('192.168.2.0/26', '10.200.0.12', '10.77.0.5')];
  assert.deepEqual(routesOf({ pools, learned: both, tunnelLink: 9 }).routes[0]?.hops, [
    { gateway: ip('10.200.0.12'), linkIndex: 2, onlink: false },
    { gateway: ip('10.77.0.5'), linkIndex: 9, onlink: true },
  ]);
});

test('IPv4 prefixes by an IPv6 next hop', () => {
  const actual = [connected('fd00:200::/64', 2)];
  const { routes } = routesOf({ learned: [learned('192.168.2.0/26', 'fd00:200::12')], actual });
  assert.deepEqual(routes, [via('192.168.2.0/26', 'fd00:200::12', 2)]);
});

test('a peer that is reachable by a gateway: a route to it, and prefixes behind it go there', () => {
  const statics = { '10.99.0.1/32': '10.200.0.7' };
  const behind = [learned('172.20.0.0/16', '10.99.0.1')];
  assert.deepEqual(routesOf({ statics, learned: behind }).routes, [
    via('10.99.0.1/32', '10.200.0.7', 2),
    via('172.20.0.0/16', '10.200.0.7', 2),
  ]);
  assert.deepEqual(routesOf({ statics: { '10.99.0.1/32': '10.77.0.9' } }).problems, [
    '10.99.0.1/32: its gateway 10.77.0.9 is on no link',
  ]);
});

const plan = (want: Route | undefined, actual: Route[], mayRemove = true) => {
  const isOurs = ({ protocol }: Route): boolean => protocol === 12;
  const { changes, conflict } = planPrefix({
    want,
    ours: actual.filter(isOurs),
    foreign: actual.filter((route) => !isOurs(route)),
    mayRemove: () => mayRemove,
  });
  const told = changes.map((c) => ('route' in c ? [c.kind, c.route] : []));
  return { changes: told, conflict };
};
const RIGHT = via('192.168.2.0/26', '10.200.0.12', 2);
const WRONG = via('192.168.2.0/26', '10.200.0.99', 2);

test('plan: adds, replaces, removes, and leaves what is right', () => {
  const hole = blackhole('192.168.1.0/26');
  assert.deepEqual(plan(hole, [{ ...hole, linkIndex: 1 }]).changes, []);
  assert.deepEqual(plan(RIGHT, [WRONG]).changes, [['replaceRoute', RIGHT]]);
  assert.deepEqual(plan(RIGHT, []).changes, [['addRoute', RIGHT]]);
  assert.deepEqual(plan(undefined, [RIGHT]).changes, [['deleteRoute', RIGHT]]);
  assert.deepEqual(plan(undefined, [RIGHT], false).changes, []);
  assert.deepEqual(plan(undefined, []).changes, []);
});

test('plan: a route of ours with another metric goes', () => {
  const other = { ...RIGHT, metric: 7 };
  assert.deepEqual(plan(RIGHT, [other]).changes, [
    ['addRoute', RIGHT],
    ['deleteRoute', other],
  ]);
});

test('plan: an IPv6 route becomes a blackhole, which a replacement would only stand beside', () => {
  const hole = { ...blackhole('fd00:10::/122'), metric: 1024 };
  const route = { ...via('fd00:10::/122', 'fd00::9', 2), metric: 1024 };
  assert.deepEqual(plan(hole, [route]).changes, [
    ['deleteRoute', route],
    ['addRoute', hole],
  ]);
});

test('plan: a foreign route in the way is reported and stays; one of another metric is not', () => {
  const foreign = { ...WRONG, protocol: 4 };
  assert.deepEqual(plan(RIGHT, [foreign]), { changes: [], conflict: foreign });
  assert.deepEqual(plan(RIGHT, [{ ...foreign, metric: 100 }]).changes, [['addRoute', RIGHT]]);
  assert.deepEqual(plan(undefined, [foreign]).changes, []);
});

test('routes of several ways are the same in any order', () => {
  const { gateway: _, linkIndex: __, ...bare } = RIGHT;
  const hops = [12, 13].map((n) => ({
    gateway: ip(`10.200.0.${n}`),
    linkIndex: 2,
    onlink: false,
  }));
  const route: Route = { ...bare, hops };
  assert.ok(sameRoute(route, { ...bare, hops: hops.toReversed() }));
  assert.ok(!sameRoute(route, { ...bare, hops: [hops[0]!, { ...hops[1]!, weight: 2 }] }));
  assert.ok(!sameRoute(route, { ...bare, hops: [hops[0]!, hops[0]!] }));
  assert.ok(!sameRoute(route, RIGHT));
});
