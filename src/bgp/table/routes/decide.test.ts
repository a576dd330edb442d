import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../../../net/asn.ts';
import { ip } from '../../../net/ip.ts';
import type { PathAttributes } from '../../codec/attributes.ts';
import { AttributeSets } from './attribute-sets.ts';
import { type Candidate, decide } from './decide.ts';

const sets = new AttributeSets();
let made = 0;
const path = (facts: Partial<Candidate>, more: Partial<PathAttributes> = {}): Candidate => {
  const attributes = { origin: 'igp', asPath: [], ...more } as const;
  made += 1;
  const set = sets.intern(`${made}`, () => ({ attributes, nextHop: ip(`10.0.1.${made}`) }));
  const who = { own: false, hasWay: true, external: false, routerId: 9, address: 9n, pathId: 0 };
  return { peer: made, ...who, preference: set.localPref, ...facts, set };
};
const low = { address: 1n, routerId: 1 };
const sequence = (...asns: number[]): PathAttributes['asPath'] => [
  { kind: 'sequence', asns: asns as Asn[] },
];

/** Better path first; all that follows in the order of steps is worse for it. */
const STEPS: [string, Candidate, Candidate][] = [
  ['own prefix', path({ own: true }), path(low, { localPref: 200 })],
  ['next hop without a way', path({}), path({ ...low, hasWay: false }, { localPref: 200 })],
  ['long-lived stale', path({}), path(low, { localPref: 200, communities: [0xffff0006] })],
  ['LOCAL_PREF', path({}, { localPref: 200, asPath: sequence(1, 2) }), path(low)],
  ['AS_PATH length', path({}, { asPath: sequence(1) }), path(low, { asPath: sequence(1, 2) })],
  [
    'AS_PATH length',
    path({}, { asPath: [{ kind: 'set', asns: [1, 2, 3] as Asn[] }] }),
    path(low, { asPath: sequence(1, 2) }),
  ],
  ['ORIGIN', path({}), path(low, { origin: 'incomplete' })],
  ['MED', path({}, { asPath: sequence(1) }), path(low, { asPath: sequence(1), med: 5 })],
  ['external', path({ external: true }), path(low)],
  ['identifier', path({ routerId: 1 }), path({ address: 2n })],
  ['identifier', path({}, { originatorId: ip('0.0.0.1') }), path({ address: 2n })],
  ['CLUSTER_LIST length', path({}), path({ address: 2n }, { clusterList: [0x01010101] })],
  ['peer address', path({}), path({ address: 10n })],
  ['path identifier', path({ pathId: 1 }), path({ pathId: 2 })],
];
for (const [name, better, worse] of STEPS) {
  test(`decision: ${name}`, () => {
    for (const both of [
      [better, worse],
      [worse, better],
    ]) {
      const lost: string[] = [];
      const { best, equal } = decide(both, (candidate, step) => {
        assert.equal(candidate, worse);
        lost.push(step);
      });
      assert.equal(best, better);
      assert.deepEqual(lost, [name]);
      // Only the tie-breaks leave paths that share the traffic.
      const ties = ['identifier', 'CLUSTER_LIST length', 'peer address', 'path identifier'];
      assert.equal(equal.length, ties.includes(name) ? 2 : 1);
    }
  });
}

test('MED of different neighbours is not compared', () => {
  const a = path({}, { asPath: sequence(1), med: 9 });
  const b = path({ address: 10n, routerId: 10 }, { asPath: sequence(2) });
  assert.equal(decide([a, b]).best, a);
});
