import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PeerReport } from '../../bgp/status.ts';
import { parseAsn } from '../../net/asn.ts';
import { ip } from '../../net/ip.ts';
import { bgpPeers, nodeStatus } from './status.ts';

const NO_MESSAGES = { open: 0, update: 0, notification: 0, keepalive: 0, refresh: 0 };

const peer = (over: Partial<PeerReport>): PeerReport => ({
  name: 'Mesh_192_168_81_102',
  type: 'node-to-node mesh',
  node: 'b',
  address: ip('192.168.81.102'),
  port: 179,
  family: 4,
  asn: parseAsn(64512)!,
  localAsn: parseAsn(64512)!,
  passive: false,
  state: 'established',
  since: new Date(2026, 10, 23, 8, 41, 57).toISOString(),
  flaps: 0,
  messages: { received: NO_MESSAGES, sent: NO_MESSAGES },
  prefixesIn: 3,
  prefixesOut: 1,
  ...over,
});
const now = new Date(2026, 10, 23, 12, 0, 0);

test("node status: calicoctl's text, cell by cell", () => {
  const { lines } = nodeStatus(
    { node: 'a', peers: [peer({})], routeProblems: [], problems: [] },
    now,
  );
  assert.deepEqual(lines, [
    'Calico process is running.',
    '',
    'IPv4 BGP status',
    '+----------------+-------------------+-------+----------+-------------+',
    '| PEER ADDRESS   | PEER TYPE         | STATE | SINCE    | INFO        |',
    '+----------------+-------------------+-------+----------+-------------+',
    '| 192.168.81.102 | node-to-node mesh | up    | 08:41:57 | Established |',
    '+----------------+-------------------+-------+----------+-------------+',
    '',
    'IPv6 BGP status',
    'No IPv6 peers found.',
  ]);
});

test('node status: what is not up says why; a day ago is a date', () => {
  const peers = [
    peer({
      state: 'active',
      lastError: 'connect ECONNREFUSED 10.0.0.2:179',
      since: new Date(2026, 10, 22, 23, 59, 59).toISOString(),
    }),
    peer({ state: 'active', passive: true, address: ip('fd00::2'), family: 6, type: 'global' }),
  ];
  const text = nodeStatus({ node: 'a', peers, routeProblems: [], problems: [] }, now).lines.join(
    '\n',
  );
  assert.match(text, /\| start \| 2026-11-22 \| Active connect ECONNREFUSED 10\.0\.0\.2:179 \|/);
  assert.match(
    text,
    /IPv6 BGP status\n[^\n]+\n[^\n]+\n[^\n]+\n\| fd00::2 .*\| global .*\| Passive/,
  );
});

test('bgp peers: a port that is not 179, counters, and routes that are missing', () => {
  const { lines } = bgpPeers({
    node: 'a',
    peers: [
      peer({ port: 1790, flaps: 2 }),
      peer({ type: 'local workload', workload: 'default/bird', node: undefined as never }),
    ],
    routeProblems: ['10.0.0.0/26: next hop 10.9.9.9 is not reachable'],
    problems: ['BGPPeer p: BGPFilter f is not there: it rejects all routes'],
  });
  assert.match(
    lines[3] ?? '',
    /192\.168\.81\.102:1790 \| b +\| 64512 \| Established \| +3 \| +1 \| +2 \|/,
  );
  assert.match(lines[4] ?? '', /192\.168\.81\.102 +\| default\/bird \| 64512/);
  assert.deepEqual(lines.slice(-2), [
    'route missing: 10.0.0.0/26: next hop 10.9.9.9 is not reachable',
    'not done: BGPPeer p: BGPFilter f is not there: it rejects all routes',
  ]);
});
