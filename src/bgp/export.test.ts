import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asn } from '../net/asn.ts';
import { type Cidr, cidr, cidrOf } from '../net/cidr.ts';
import { ip, ipFromValue } from '../net/ip.ts';
import { encodeMessage } from './codec/message.ts';
import type { Path } from './decide.ts';
import { announcementsFor, type ExportPeer, type ExportPool, updatesBetween } from './export.ts';

const INSIDE: ExportPeer = {
  address: ip('10.0.0.2'),
  asn: 64512 as Asn,
  localAsn: 64512 as Asn,
  localAddress: ip('10.0.0.1'),
  families: [4],
};
const OUTSIDE: ExportPeer = { ...INSIDE, asn: 65000 as Asn };
const BLOCK = cidr('192.168.0.0/26');
const POOL: ExportPool = { cidr: cidr('192.168.0.0/16'), disabled: false, disableBgpExport: false };
const path = (prefix: string, from: string, external: boolean): Path => ({
  prefix: cidr(prefix),
  nextHop: ip(from),
  from: ip(from),
  external,
  routerId: ip(from),
  attributes: {
    origin: 'igp',
    asPath: external ? [{ kind: 'sequence', asns: [65001 as Asn] }] : [],
    med: 7,
    localPref: 200,
  },
});

test('an own block: next hop self, LOCAL_PREF inside the AS, AS_PATH outside', () => {
  assert.deepEqual(
    [...announcementsFor(INSIDE, [BLOCK], [], [POOL])],
    [[BLOCK, { nextHop: '10.0.0.1', attributes: { origin: 'igp', asPath: [], localPref: 100 } }]],
  );
  const outside = announcementsFor(OUTSIDE, [BLOCK], [], [POOL]).get(BLOCK);
  const asPath = [{ kind: 'sequence', asns: [64512] }];
  assert.deepEqual(outside, { nextHop: '10.0.0.1', attributes: { origin: 'igp', asPath } });
});

test('a pool with disableBGPExport is not announced', () => {
  const quiet = { ...POOL, disableBgpExport: true };
  assert.equal(announcementsFor(INSIDE, [BLOCK], [], [quiet]).size, 0);
});

test('learned paths: never from inside to inside, never back, only within enabled pools', () => {
  const names = (peer: ExportPeer, ...best: Path[]) =>
    [...announcementsFor(peer, [], best, [POOL]).keys()].join();
  const internal = path('192.168.1.0/26', '10.0.0.3', false);
  const external = path('192.168.2.0/26', '10.0.0.4', true);
  assert.equal(names(INSIDE, internal, external), '192.168.2.0/26');
  assert.equal(names(OUTSIDE, internal, external), '192.168.1.0/26,192.168.2.0/26');
  assert.equal(names(OUTSIDE, path('192.168.1.0/26', '10.0.0.2', true)), '', 'its own');
  assert.equal(names(OUTSIDE, path('172.16.0.0/26', '10.0.0.3', false)), '', 'in no pool');
  assert.equal(names(OUTSIDE, path('0.0.0.0/0', '10.0.0.3', false)), '', 'default route');
});

test('a learned path toward another AS: next hop self, AS prepended, MED and LOCAL_PREF stay', () => {
  const external = path('192.168.2.0/26', '10.0.0.4', true);
  const told = announcementsFor(OUTSIDE, [], [external], [POOL]).get(external.prefix);
  const asPath = [{ kind: 'sequence', asns: [64512, 65001] }];
  assert.deepEqual(told, { nextHop: '10.0.0.1', attributes: { origin: 'igp', asPath } });
  const inside = announcementsFor(INSIDE, [], [external], [POOL]).get(external.prefix);
  assert.equal(inside?.nextHop, '10.0.0.4');
  assert.equal(inside?.attributes.localPref, 200);
});

test('updates between two states: only the difference, packed, each message small enough', () => {
  const blocks: Cidr[] = Array.from({ length: 3000 }, (_, i) =>
    cidrOf(ipFromValue(0xc0a80000n + BigInt(i) * 16n, 4), 28),
  );
  const all = announcementsFor(INSIDE, blocks, [], [POOL]);
  const updates = updatesBetween(new Map(), all);
  assert.equal(updates.flatMap((u) => u.announced.flatMap((a) => a.prefixes)).length, 3000);
  assert(updates.length < 6, `${updates.length} messages`);
  for (const update of updates) encodeMessage(update, { fourOctetAs: true });
  assert.deepEqual(updatesBetween(all, all), []);
  const fewer = announcementsFor(INSIDE, blocks.slice(1), [], [POOL]);
  assert.deepEqual(updatesBetween(all, fewer), [
    { kind: 'update', withdrawn: [blocks[0]], announced: [] },
  ]);
});
