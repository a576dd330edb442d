// What stays of a peer while it is away: graceful restart (RFC 4724 section 4.2) and long-lived stale
// routes (RFC 9494 section 4.2 and 4.3).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidr } from '../../net/cidr.ts';
import { type Family, ip } from '../../net/ip.ts';
import { encodeAttributes } from '../codec/attributes.ts';
import { announcement } from './listener.cases.ts';

import { GRACEFUL, tableOfNeighbours } from './neighbour.cases.ts';
import { REFRESH_MS, RETURN_MS } from './stale.ts';

const [A, B, C] = ['192.168.1.0/26', '192.168.2.0/26', '192.168.3.0/26'];
const RESTART_MS = GRACEFUL.restartSeconds * 1000;
const DAY_SECONDS = 86_400;
const LLGR_STALE = 0xffff0006;
const NO_LLGR = 0xffff0007;
const longLived = [{ family: 4 as Family, forwardingPreserved: true, staleSeconds: DAY_SECONDS }];
const LASTING = { gracefulRestart: GRACEFUL, longLived };

test('routes stay for the restart time, and go when it is over', () => {
  const { up, say, down, clock, work, learned, table } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A);
  down('1');
  assert.equal(table.nextDeadline, RESTART_MS);
  clock.now = RESTART_MS - 1;
  work();
  assert.equal(learned(), A);
  clock.now = RESTART_MS;
  work();
  assert.equal(learned(), '');
});

test('it comes back: what it does not tell again goes at its End-of-RIB', () => {
  const { up, say, sayEnd, down, learned } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A, B);
  down('1');
  up('1', { gracefulRestart: GRACEFUL });
  say('1', B);
  assert.equal(learned(), `${A} ${B}`);
  sayEnd('1');
  assert.equal(learned(), B);
});

test('twice away within the time: what was stale stays so', () => {
  const { up, say, sayEnd, down, learned } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A, B);
  for (let i = 0; i < 2; i++) {
    down('1');
    up('1', { gracefulRestart: GRACEFUL });
    assert.equal(learned(), `${A} ${B}`);
  }
  say('1', A, B);
  sayEnd('1');
  assert.equal(learned(), `${A} ${B}`);
});

test('it comes back and has not kept its forwarding state, or its End-of-RIB never comes', () => {
  const { up, say, down, clock, work, learned } = tableOfNeighbours();
  const forgot = { ...GRACEFUL, families: [{ family: 4 as Family, forwardingPreserved: false }] };
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A);
  down('1');
  up('1', { gracefulRestart: forgot });
  assert.equal(learned(), '');
  say('1', A);
  down('1');
  up('1', { gracefulRestart: GRACEFUL });
  clock.now = RESTART_MS;
  work();
  assert.equal(learned(), '');
});

test('all reflectors are away for a day: the routes stay, and go when the long-lived time is over', () => {
  const { up, say, down, clock, work, learned, table } = tableOfNeighbours();
  for (const reflector of ['1', '2']) {
    up(reflector, LASTING);
    say(reflector, A, B);
  }
  for (const reflector of ['1', '2']) down(reflector);
  for (clock.now = 0; clock.now < RESTART_MS + DAY_SECONDS * 1000; clock.now += 60_000) {
    work();
    assert.equal(learned(), `${A} ${B}`);
  }
  assert.deepEqual(table.why(A as never)[0]?.attributes.communities, [LLGR_STALE]);
  clock.now = RESTART_MS + DAY_SECONDS * 1000;
  work();
  assert.equal(learned(), '');
});

test('it comes back in the long-lived time and never says that it has told all: not waited for long', () => {
  const { up, say, down, clock, work, learned, table } = tableOfNeighbours();
  up('1', LASTING);
  say('1', A, B);
  down('1');
  clock.now = RESTART_MS;
  work();
  clock.now = 3_600_000;
  up('1', LASTING);
  say('1', B);
  assert.equal(learned(), `${A} ${B}`);
  clock.now = table.nextDeadline!;
  assert(clock.now <= 3_600_000 + REFRESH_MS);
  work();
  assert.equal(learned(), B);
});

test('a reflector is back before all others are with it: what it has not heard of again stays a while', () => {
  const { up, down, say, sayEnd, clock, work, learned, table } = tableOfNeighbours();
  const words = encodeAttributes(
    { origin: 'igp', asPath: [], localPref: 100 },
    ip('10.0.0.7'),
    true,
  );
  const reflected = () => {
    table.receive('1', announcement([cidr(B), cidr(C)], words));
    work();
  };
  up('1', LASTING);
  reflected();
  say('1', A);
  down('1', 'beyond');
  up('1', LASTING);
  sayEnd('1');
  assert.equal(learned(), `${B} ${C}`);
  clock.now = RETURN_MS - 1;
  table.receive('1', announcement([cidr(C)], words));
  work();
  assert.equal(learned(), `${B} ${C}`);
  clock.now = RETURN_MS;
  work();
  assert.equal(learned(), C);
});

test('a reflector that was rebooted: the ways through itself go, others wait for what it tells', () => {
  const { up, down, say, sayEnd, learned, table, work } = tableOfNeighbours();
  const words = encodeAttributes(
    { origin: 'igp', asPath: [], localPref: 100 },
    ip('10.0.0.7'),
    true,
  );
  const families = [{ family: 4 as Family, forwardingPreserved: false }];
  up('1', LASTING);
  say('1', A);
  table.receive('1', announcement([cidr(B)], words));
  work();
  down('1');
  assert.equal(learned(), `${A} ${B}`);
  up('1', { ...LASTING, gracefulRestart: { ...GRACEFUL, families } });
  assert.equal(learned(), B);
  sayEnd('1');
  assert.equal(learned(), '');
});

test('a reflector falls silent: the ways through itself go at once, all others are the last choice', () => {
  const { up, say, tell, down, learned, hops, table, clock, work } = tableOfNeighbours();
  up('1', LASTING);
  say('1', A);
  const words = encodeAttributes(
    { origin: 'igp', asPath: [], localPref: 100 },
    ip('10.0.0.7'),
    true,
  );
  table.receive('1', announcement([cidr(B), cidr(C)], words));
  up('2');
  tell('2', { localPref: 50 }, C);
  assert.deepEqual(hops(C), ['10.0.0.7']);
  down('1', 'beyond');
  assert.deepEqual([learned(), hops(B), hops(C)], [`${B} ${C}`, ['10.0.0.7'], ['10.0.0.2']]);
  clock.now = DAY_SECONDS * 1000;
  work();
  assert.equal(learned(), C);
});

test('a peer falls silent whose routes do not live long: what leads elsewhere waits for its restart', () => {
  const { up, say, down, clock, work, learned, table } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A);
  const words = encodeAttributes(
    { origin: 'igp', asPath: [], localPref: 100 },
    ip('10.0.0.7'),
    true,
  );
  table.receive('1', announcement([cidr(B)], words));
  down('1', 'beyond');
  assert.equal(learned(), B);
  clock.now = RESTART_MS;
  work();
  assert.equal(learned(), '');
});

test('long-lived: the last choice, told as such only where it is known, and never of one who forbids it', () => {
  const { up, say, tell, down, clock, work, learned, hops } = tableOfNeighbours();
  const [knows, knowsNot] = [up('3', LASTING), up('4')];
  up('1', LASTING);
  tell('1', { localPref: 200 }, A, C);
  tell('1', { localPref: 200, communities: [NO_LLGR] }, B);
  up('2');
  say('2', A);
  down('1');
  assert.deepEqual(hops(A), ['10.0.0.1'], 'as good as ever while it restarts');
  clock.now = RESTART_MS;
  work();
  assert.deepEqual([learned(), hops(A)], [`${A} ${C}`, ['10.0.0.2']]);
  for (const ear of [knows, knowsNot]) assert(ear.heard.includes(`-${B}`));
  assert(!knows.heard.includes(`-${C}`));
  assert(knowsNot.heard.includes(`-${C}`));
});
