import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Asn } from '../../net/asn.ts';
import { ip } from '../../net/ip.ts';
import { type DesiredPeer, endpointOf, PEER_DEFAULTS } from '../peers.ts';
import { planPeers } from './plan.ts';

const peer = (address: string, more: Partial<DesiredPeer> = {}): DesiredPeer => ({
  ...PEER_DEFAULTS,
  ...{ name: `Node_${address}`, kind: 'node', address: ip(address), port: 179 },
  ...{ asn: 64512 as Asn, localAsn: 64512 as Asn, localAddress: ip('10.0.0.1') },
  ...{ family: 4, families: [4], passive: false },
  ...more,
});
const running = (...peers: DesiredPeer[]) => new Map(peers.map((p) => [endpointOf(p), p]));

test('only the session whose own facts changed is ended; policy changes in place', () => {
  const [a, b, c] = [peer('10.0.0.2'), peer('10.0.0.3'), peer('10.0.0.4')];
  const secret = { ...b, password: 'x' };
  const kept = { ...c, nextHopMode: 'self', name: 'Global_10_0_0_4' } as const;
  assert.deepEqual(planPeers(running(a, b, c), [a, secret, kept, peer('10.0.0.5')]), {
    stop: [{ endpoint: '10.0.0.3 179', replaced: true }],
    start: [secret, peer('10.0.0.5')],
    change: [kept],
  });
  assert.deepEqual(planPeers(running(a, b), [b]), {
    stop: [{ endpoint: '10.0.0.2 179', replaced: false }],
    start: [],
    change: [],
  });
});

test('another port is another session', () => {
  const other = peer('10.0.0.2', { port: 1179 });
  assert.deepEqual(planPeers(running(peer('10.0.0.2')), [peer('10.0.0.2'), other]).start, [other]);
});

test('after the plan exactly the wanted sessions run, and nothing is left to do', () => {
  const one = fc.record({
    address: fc.constantFrom('10.0.0.2', '10.0.0.3', '10.0.0.4'),
    passive: fc.boolean(),
    explicitPolicy: fc.boolean(),
  });
  const some = fc.uniqueArray(one, { selector: ({ address }) => address, maxLength: 3 });
  const peers = some.map((list) => list.map(({ address, ...more }) => peer(address, more)));
  fc.assert(
    fc.property(peers, peers, (before, wanted) => {
      const now = running(...before);
      const plan = planPeers(now, wanted);
      for (const { endpoint } of plan.stop) now.delete(endpoint);
      for (const p of [...plan.start, ...plan.change]) now.set(endpointOf(p), p);
      assert.deepEqual(now, new Map([...now.keys()].map((k) => [k, running(...wanted).get(k)])));
      assert.equal(now.size, wanted.length);
      assert.deepEqual(planPeers(now, wanted), { stop: [], start: [], change: [] });
    }),
  );
});
