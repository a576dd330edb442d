import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PathReport, RouteReport } from '../../bgp/status.ts';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { bgpRoutes, whyRoute } from './routes.ts';

const path = (over: Partial<PathReport>): PathReport => ({
  peer: 'Mesh_10_0_0_2',
  from: ip('10.0.0.2'),
  nextHop: ip('10.0.0.2'),
  asPath: '',
  origin: 'igp',
  localPref: 100,
  communities: [],
  stale: false,
  rank: 'best',
  ...over,
});
const route: RouteReport = {
  prefix: cidr('10.1.2.0/26'),
  paths: [
    path({}),
    path({ peer: 'Global_10_0_0_9', nextHop: ip('10.0.0.9'), rank: 'equal', why: 'identifier' }),
    path({
      peer: 'Global_10_0_0_8',
      asPath: '64513 64514',
      med: 5,
      communities: ['64512:1'],
      rank: 'worse',
      why: 'AS_PATH length',
      stale: true,
    }),
    path({ peer: 'Node_10_0_0_7', rank: 'unusable', why: 'our AS is in its AS_PATH' }),
  ],
};

test('bgp routes: a line for each path that carries traffic', () => {
  assert.deepEqual(bgpRoutes([route]).lines, [
    '+-------------+----------+-----------------+---------+------------+-------------+-------+',
    '| PREFIX      | NEXT HOP | FROM            | AS PATH | LOCAL PREF | COMMUNITIES | STATE |',
    '+-------------+----------+-----------------+---------+------------+-------------+-------+',
    '| 10.1.2.0/26 | 10.0.0.2 | Mesh_10_0_0_2   |         |        100 |             |       |',
    '|             | 10.0.0.9 | Global_10_0_0_9 |         |        100 |             |       |',
    '+-------------+----------+-----------------+---------+------------+-------------+-------+',
  ]);
});

test('why: every path, with the step that it lost', () => {
  assert.deepEqual(whyRoute('10.1.2.0/26', route).lines, [
    '10.1.2.0/26: 4 paths',
    '* via 10.0.0.2 from Mesh_10_0_0_2',
    '    of this AS, local preference 100, origin igp',
    '    best',
    '= via 10.0.0.9 from Global_10_0_0_9',
    '    of this AS, local preference 100, origin igp',
    '    shares the traffic with the best; behind it only by identifier',
    '  via 10.0.0.2 from Global_10_0_0_8',
    '    AS path 64513 64514, local preference 100, MED 5, origin igp, communities 64512:1, stale',
    '    loses by AS_PATH length',
    '! via 10.0.0.2 from Node_10_0_0_7',
    '    of this AS, local preference 100, origin igp',
    '    not used: our AS is in its AS_PATH',
  ]);
  assert.equal(whyRoute('10.9.0.0/26', undefined).failed, true);
});
