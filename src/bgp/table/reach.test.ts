// RFC 4271 section 9.1.2: a path whose next hop has no way is not chosen while another has one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidr } from '../../net/cidr.ts';
import { ip } from '../../net/ip.ts';
import { tableOfNeighbours } from './neighbour.cases.ts';
import { Reach } from './reach.ts';

const BLOCK = '192.168.1.0/26';

test('the better path gives way while its next hop has none, and is back with it', () => {
  const n = tableOfNeighbours();
  for (const key of ['1', '2', '3']) n.up(key);
  n.tell('1', { localPref: 300 }, BLOCK);
  n.say('2', BLOCK);
  n.say('3', BLOCK);
  assert.deepEqual(n.hops(BLOCK), ['10.0.0.1']);
  n.lost.add('10.0.0.1');
  n.table.waysChanged();
  n.work();
  assert.deepEqual(n.hops(BLOCK), ['10.0.0.2', '10.0.0.3'], 'those that are left share');
  n.lost.add('10.0.0.3');
  n.table.waysChanged();
  n.work();
  assert.deepEqual(n.hops(BLOCK), ['10.0.0.2']);
  const why = n.table.why(cidr(BLOCK)).map(({ peer, lost }) => `${peer} ${lost}`);
  assert.deepEqual(why, ['2 undefined', '1 next hop without a way', '3 next hop without a way']);
  n.lost.clear();
  n.table.waysChanged();
  n.work();
  assert.deepEqual(n.hops(BLOCK), ['10.0.0.1']);
});

test('a path that is alone stays', () => {
  const n = tableOfNeighbours();
  n.lost.add('10.0.0.1');
  n.up('1');
  n.say('1', BLOCK);
  n.table.waysChanged();
  n.work();
  assert.deepEqual(n.hops(BLOCK), ['10.0.0.1']);
});

test('many prefixes are decided anew a portion at a time', () => {
  const n = tableOfNeighbours();
  const blocks = Array.from({ length: 9000 }, (_, i) => `10.${64 + (i >> 8)}.${i & 255}.0/24`);
  for (const key of ['1', '2']) {
    n.up(key);
    for (let at = 0; at < blocks.length; at += 500) n.say(key, ...blocks.slice(at, at + 500));
  }
  n.lost.add('10.0.0.1');
  n.table.waysChanged();
  n.work();
  for (const block of blocks) assert.deepEqual(n.hops(block), ['10.0.0.2']);
});

test('what is asked twice is asked once, and no more is remembered than there is room', () => {
  let asked = 0;
  const ways = new Map([[ip('10.0.0.1'), true]]);
  const reach = new Reach((nextHop) => {
    asked++;
    return ways.get(nextHop) ?? false;
  });
  assert.deepEqual([reach.hasWay(ip('10.0.0.1')), reach.hasWay(ip('10.0.0.1'))], [true, true]);
  assert.equal(asked, 1);
  assert.equal(reach.lookAgain(), false);
  ways.clear();
  assert.equal(reach.lookAgain(), true);
  assert.equal(reach.hasWay(ip('10.0.0.1')), false);
  for (let i = 0; i < 65_536; i++) reach.hasWay(ip(`10.1.${i >> 8}.${i & 255}`));
  assert.equal(reach.lookAgain(), true, 'of what was forgotten nobody knows');
  assert.equal(reach.lookAgain(), false);
});
