import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../kernel/kernel.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { desiredRoutes, type RouteInputs } from './desired.ts';
import { planRoutes } from './plan.ts';

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
const INPUTS: RouteInputs = {
  own: { blackholes: [], held: new Set() },
  learned: [],
  pools: [{ cidr: cidr('192.168.0.0/16'), ipip: 'Never', vxlan: 'Never' }],
  actual: [
    connected('10.200.0.0/24', 2),
    connected('10.0.2.0/24', 3),
    via('0.0.0.0/0', '10.0.2.1', 3, 3),
  ],
  subnet: cidr('10.200.0.0/24'),
  tunnelLink: undefined,
};
const learned = (prefix: string, nextHop: string) => ({
  prefix: cidr(prefix),
  nextHop: ip(nextHop),
});
const routesOf = (inputs: Partial<RouteInputs>) => {
  const { routes, problems } = desiredRoutes({ ...INPUTS, ...inputs });
  return { routes: [...routes.values()], problems };
};

const own = (blackholes: string[], held: string[] = []) => ({
  blackholes: blackholes.map(cidr),
  held: new Set(held.map(cidr)),
});

test('own blocks are blackholes; a learned address inside one goes its own way', () => {
  const borrowed = learned('192.168.1.7/32', '10.200.0.12');
  assert.deepEqual(routesOf({ own: own(['192.168.1.0/26']), learned: [borrowed] }).routes, [
    via('192.168.1.7/32', '10.200.0.12', 2),
    blackhole('192.168.1.0/26'),
  ]);
});

test('what others tell of an address that lives here is not believed', () => {
  const left = learned('192.168.2.7/32', '10.200.0.12');
  const { routes } = routesOf({ own: own([], ['192.168.2.7/32']), learned: [left] });
  assert.deepEqual(routes, []);
});

test('a learned block goes by its next hop on the link that reaches it', () => {
  const { routes } = routesOf({ learned: [learned('192.168.2.0/26', '10.200.0.12')] });
  assert.deepEqual(routes, [via('192.168.2.0/26', '10.200.0.12', 2)]);
});

test('a next hop beyond a router goes by that router, and never by a route of ours', () => {
  const beyond = [learned('192.168.2.0/26', '10.77.0.5')];
  assert.deepEqual(routesOf({ learned: beyond }).routes, [via('192.168.2.0/26', '10.0.2.1', 3)]);
  const actual = [...INPUTS.actual, via('10.77.0.0/24', '10.200.0.99', 2)];
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
    own: own(['192.168.2.0/26']),
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
    { pools: pools('CrossSubnet', 'Always'), learned: near, tunnelLink: 9 },
  ]) {
    const { routes, problems } = routesOf(inputs);
    assert.deepEqual([routes.length, problems.length], [0, 1]);
  }
});

test('IPv6 routes carry the metric that the kernel gives them', () => {
  const { routes } = routesOf({ own: own(['fd00:10::/122']) });
  assert.equal(routes[0]?.metric, 1024);
});

const plan = (desired: Route[], actual: Route[], mayRemove = (_: Route): boolean => true) =>
  planRoutes({ desired: new Map(desired.map((r) => [r.destination, r])), actual, mayRemove });

test('plan: adds, replaces, removes, and leaves what is right', () => {
  const right = blackhole('192.168.1.0/26');
  const { changes, conflicts } = plan(
    [right, via('192.168.2.0/26', '10.200.0.12', 2), via('192.168.3.0/26', '10.200.0.13', 2)],
    [
      { ...right, linkIndex: 1 },
      via('192.168.2.0/26', '10.200.0.99', 2),
      via('192.168.4.0/26', '10.200.0.14', 2),
      connected('10.200.0.0/24', 2),
    ],
  );
  assert.deepEqual(
    changes.map((c) => [c.kind, 'route' in c ? c.route.destination : '']),
    [
      ['replaceRoute', '192.168.2.0/26'],
      ['addRoute', '192.168.3.0/26'],
      ['deleteRoute', '192.168.4.0/26'],
    ],
  );
  assert.deepEqual(conflicts, []);
});

test('plan: a foreign route in the way is reported and stays', () => {
  const foreign = via('192.168.2.0/26', '10.200.0.99', 2, 4);
  const { changes, conflicts } = plan([via('192.168.2.0/26', '10.200.0.12', 2)], [foreign]);
  assert.deepEqual(changes, []);
  assert.deepEqual(conflicts, [foreign]);
});

test('plan: a foreign route of another metric is not in the way', () => {
  const foreign = { ...via('192.168.2.0/26', '10.200.0.99', 2, 4), metric: 100 };
  const { changes, conflicts } = plan([via('192.168.2.0/26', '10.200.0.12', 2)], [foreign]);
  assert.deepEqual([changes.length, conflicts.length], [1, 0]);
});

test('plan: what an earlier run left stays while it may', () => {
  const left = via('192.168.2.0/26', '10.200.0.12', 2);
  assert.deepEqual(plan([], [left], () => false).changes, []);
  assert.deepEqual(plan([], [left]).changes, [{ kind: 'deleteRoute', route: left }]);
});

test('plan: foreign routes are never removed', () => {
  const actual = [connected('10.200.0.0/24', 2), blackhole('10.9.0.0/16', 4)];
  assert.deepEqual(plan([], actual).changes, []);
});
