import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from '../../base/metrics.io.ts';
import type { PeerReport, SpeakerReport } from '../../bgp/status.ts';
import { parseAsn } from '../../net/asn.ts';
import { ip } from '../../net/ip.ts';
import { measureSpeaker } from './metrics.io.ts';

test('each session in figures; a peer that is gone leaves no series', async () => {
  const peer: PeerReport = {
    name: 'Mesh_10_0_0_2',
    type: 'node-to-node mesh',
    address: ip('10.0.0.2'),
    port: 179,
    family: 4,
    asn: parseAsn(64512)!,
    localAsn: parseAsn(64512)!,
    passive: true,
    state: 'established',
    since: '2026-01-02T03:04:05.000Z',
    lastError: 'HoldTimerExpired',
    flaps: 2,
    messages: {
      received: { open: 1, update: 2, notification: 0, keepalive: 3, refresh: 0 },
      sent: { open: 1, update: 4, notification: 0, keepalive: 3, refresh: 1 },
    },
    bfd: { state: 'up', since: '2026-01-02T03:04:05.000Z', failures: 1 },
    prefixesIn: 7,
    prefixesOut: 3,
  };
  let report: SpeakerReport = { node: 'a', peers: [peer], routeProblems: ['x'], problems: [] };
  const registry = new Registry();
  measureSpeaker(registry, () => report);
  const labels =
    'peer="Mesh_10_0_0_2",address="10.0.0.2",type="node-to-node mesh",asn="64512",family="ipv4"';
  const lines = (await registry.metrics()).split('\n').filter((line) => /^b[gf][pd]/.test(line));
  assert.deepEqual(lines, [
    `bgp_peer_up{${labels}} 1`,
    `bgp_peer_prefixes_received{${labels}} 7`,
    `bgp_peer_prefixes_advertised{${labels}} 3`,
    `bgp_peer_state_since_seconds{${labels}} 1767323045`,
    `bgp_peer_state{${labels},state="established"} 1`,
    `bgp_peer_last_error_info{${labels},error="HoldTimerExpired"} 1`,
    `bfd_peer_up{${labels}} 1`,
    'bgp_routes_missing 1',
    `bgp_peer_flaps_total{${labels}} 2`,
    ...[
      ['received', 1, 2, 0, 3, 0],
      ['sent', 1, 4, 0, 3, 1],
    ].flatMap(([way, ...counts]) =>
      ['open', 'update', 'notification', 'keepalive', 'refresh'].map(
        (type, i) => `bgp_peer_messages_${way}_total{${labels},message="${type}"} ${counts[i]}`,
      ),
    ),
    `bfd_peer_failures_total{${labels}} 1`,
  ]);
  report = { ...report, peers: [], routeProblems: [], problems: [] };
  const after = (await registry.metrics()).split('\n').filter((line) => /^bgp/.test(line));
  assert.deepEqual(after, ['bgp_routes_missing 0']);
});
