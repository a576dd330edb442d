import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Asn } from '../net/asn.ts';
import { cidr } from '../net/cidr.ts';
import { ip } from '../net/ip.ts';
import type { PathAttributes } from './codec/attributes.ts';
import type { Update } from './codec/update.ts';
import { bestPath, type Path } from './decide.ts';
import { forget, learn, newRib, type OwnIdentity, type RibPeer } from './rib.ts';

const BLOCK = cidr('192.168.1.64/26');
const sequence = (...asns: number[]): PathAttributes['asPath'] =>
  asns.length > 0 ? [{ kind: 'sequence', asns: asns as Asn[] }] : [];
const path = (facts: Partial<Path>, attributes: Partial<PathAttributes> = {}): Path => ({
  prefix: BLOCK,
  nextHop: ip('10.0.0.9'),
  from: ip('10.0.0.9'),
  external: false,
  routerId: ip('10.0.0.9'),
  ...facts,
  attributes: { origin: 'igp', asPath: [], ...attributes },
});
const low = { from: ip('10.0.0.1'), routerId: ip('10.0.0.1') };

/** Better path first; all that follows in the order of steps is worse for it. */
const STEPS: [string, Path, Path][] = [
  ['higher LOCAL_PREF', path({}, { localPref: 200, asPath: sequence(1, 2) }), path(low)],
  ['shorter AS_PATH', path({}, { asPath: sequence(1) }), path(low, { asPath: sequence(1, 2) })],
  [
    'a set counts once',
    path({}, { asPath: [{ kind: 'set', asns: [1, 2, 3] as Asn[] }] }),
    path(low, { asPath: sequence(1, 2) }),
  ],
  ['lower ORIGIN', path({}, { origin: 'igp' }), path(low, { origin: 'incomplete' })],
  [
    'lower MED of one AS',
    path({}, { asPath: sequence(1) }),
    path(low, { asPath: sequence(1), med: 5 }),
  ],
  ['external', path({ external: true }), path(low)],
  ['lower identifier', path({ routerId: ip('10.0.0.1') }), path({ from: ip('10.0.0.2') })],
  [
    'ORIGINATOR_ID counts as identifier',
    path({}, { originatorId: ip('10.0.0.1') }),
    path({ from: ip('10.0.0.2') }),
  ],
  [
    'shorter CLUSTER_LIST',
    path({}),
    path({ from: ip('10.0.0.2') }, { clusterList: [ip('1.1.1.1')] }),
  ],
  ['lower peer address, by number', path({}), path({ from: ip('10.0.0.10') })],
];
for (const [name, better, worse] of STEPS) {
  test(`decision: ${name}`, () => {
    assert.equal(bestPath([better, worse]), better);
    assert.equal(bestPath([worse, better]), better);
  });
}

test('MED of different neighbours is not compared', () => {
  const a = path({}, { asPath: sequence(1), med: 9 });
  const b = path({ from: ip('10.0.0.10'), routerId: ip('10.0.0.10') }, { asPath: sequence(2) });
  assert.equal(bestPath([a, b]), a);
});

test('the decision does not depend on the order of the paths', () => {
  const anyPath = fc
    .tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.boolean(), fc.nat(3))
    .map(([pref, asn, med, external, id]) =>
      path(
        { external, routerId: ip(`1.1.1.${id + 1}`), from: ip(`10.0.0.${id + 1}`) },
        { localPref: pref, asPath: sequence(asn + 1), med },
      ),
    );
  fc.assert(
    fc.property(
      fc.uniqueArray(anyPath, { minLength: 1, maxLength: 6, selector: (p) => p.from }),
      (paths) => {
        const best = bestPath(paths);
        assert.equal(bestPath(paths.toReversed()), best);
        assert.equal(bestPath([...paths.slice(1), paths[0]!]), best);
      },
    ),
  );
});

const OWN: OwnIdentity = {
  asn: 64512 as Asn,
  routerId: ip('10.0.0.5'),
  addresses: [ip('10.0.0.5')],
};
const peer = (last: number, external = false): RibPeer => ({
  address: ip(`10.0.0.${last}`),
  routerId: ip(`10.0.0.${last}`),
  external,
});
const says = (nextHop: string, attributes: Partial<PathAttributes> = {}): Update => ({
  kind: 'update',
  withdrawn: [],
  announced: [{ nextHop: ip(nextHop), prefixes: [BLOCK] }],
  attributes: { origin: 'igp', asPath: [], ...attributes },
});

test('learn, replace, withdraw and forget answer what changed', () => {
  const rib = newRib();
  assert.deepEqual(learn(rib, OWN, peer(2), says('10.0.0.2')), [BLOCK]);
  assert.deepEqual(learn(rib, OWN, peer(3), says('10.0.0.3')), [], 'not better');
  assert.equal(rib.best.get(BLOCK)?.from, '10.0.0.2');
  const gone: Update = { kind: 'update', withdrawn: [BLOCK], announced: [] };
  assert.deepEqual(learn(rib, OWN, peer(2), gone), [BLOCK]);
  assert.deepEqual(learn(rib, OWN, peer(2), gone), [], 'gone already');
  assert.equal(rib.best.get(BLOCK)?.from, '10.0.0.3');
  assert.deepEqual(forget(rib, ip('10.0.0.3')), [BLOCK]);
  assert.deepEqual([rib.best.size, rib.paths.size, rib.counts.get(ip('10.0.0.3'))], [0, 0, 0]);
});

const UNUSABLE: [string, RibPeer, Update][] = [
  ['own AS in the path', peer(2, true), says('10.0.0.2', { asPath: sequence(65000, 64512) })],
  ['own ORIGINATOR_ID', peer(2), says('10.0.0.2', { originatorId: ip('10.0.0.5') })],
  ['own address as next hop', peer(2), says('10.0.0.5')],
  ['next hop 0.0.0.0', peer(2), says('0.0.0.0')],
  ['next hop on loopback', peer(2), says('127.0.0.1')],
  ['multicast next hop', peer(2), says('224.0.0.1')],
];
for (const [name, from, update] of UNUSABLE) {
  test(`unusable: ${name}, and it takes the place of what was there`, () => {
    const rib = newRib();
    learn(rib, OWN, from, says('10.0.0.2'));
    assert.deepEqual(learn(rib, OWN, from, update), [BLOCK]);
    assert.equal(rib.best.size, 0);
  });
}
