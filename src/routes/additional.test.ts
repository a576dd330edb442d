import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROUTE_PROTOCOL, type Route } from '../kernel/kernel.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import { additionalRoutes } from './additional.ts';

const route = (destination: string, more: Partial<Route> = {}): Route => ({
  destination: cidr(destination),
  kind: 'unicast',
  linkIndex: 2,
  scope: 'link',
  onlink: false,
  protocol: ROUTE_PROTOCOL.kernel,
  metric: 0,
  ...more,
});
const address = (text: string) => ({
  linkIndex: 2,
  ip: ip(text),
  prefixLength: 24,
  scope: 'global' as const,
});

const found = (within: string, routes: readonly Route[], addresses: readonly string[] = []) =>
  additionalRoutes({
    within: [cidr(within)],
    pools: [cidr('192.168.0.0/16')],
    routes,
    addresses: addresses.map(address),
  });

test('routes and addresses within the prefixes, in one order; others not', () => {
  const routes = [route('10.9.2.0/24'), route('10.9.1.0/24'), route('10.8.0.0/24')];
  const told = ['10.9.1.0/24', '10.9.1.5/32', '10.9.2.0/24'];
  assert.deepEqual(found('10.9.0.0/16', routes, ['10.9.1.5', '10.8.0.5']), told);
});

test('a route that is wider than the prefix is no part of it', () => {
  assert.deepEqual(found('10.9.0.0/16', [route('10.0.0.0/8'), route('0.0.0.0/0')]), []);
});

test('what peers told, and blackholes, are not passed on', () => {
  const routes = [
    route('10.9.1.0/24', { protocol: ROUTE_PROTOCOL.bird }),
    route('10.9.2.0/24', { protocol: ROUTE_PROTOCOL.overlay }),
    route('10.9.3.0/24', { kind: 'blackhole' }),
  ];
  assert.deepEqual(found('10.9.0.0/16', routes), []);
});

test('a pool’s addresses are told by their blocks alone', () => {
  const routes = [route('192.168.3.4/32'), route('192.0.0.0/8')];
  assert.deepEqual(found('192.0.0.0/8', routes, ['192.168.7.7', '192.0.2.1']), ['192.0.2.1/32']);
});
