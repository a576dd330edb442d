// Route refresh both ways (RFC 2918), with its begin and end marked (RFC 7313 section 4).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRACEFUL, OWN_BLOCK, tableOfNeighbours } from './neighbour.cases.ts';
import { REFRESH_MS } from './stale.ts';

const [A, B] = ['192.168.1.0/26', '192.168.2.0/26'];

test('asked again by one who knows marks: begin, everything, end; and no second End-of-RIB', () => {
  const { up, say, refresh } = tableOfNeighbours();
  up('1');
  say('1', A);
  const ear = up('2', { enhancedRefresh: true });
  const all = [OWN_BLOCK, A];
  assert.deepEqual(ear.heard.toSorted(), [...all, 'end of RIB'].toSorted());
  ear.heard.length = 0;
  refresh('2', 'request');
  assert.equal(ear.heard[0], 'begin 4');
  assert.equal(ear.heard.at(-1), 'end 4');
  assert.deepEqual(ear.heard.slice(1, -1).toSorted(), all.toSorted());
  refresh('2', 'request');
  assert.equal(ear.heard.filter((word) => word.startsWith('end')).length, 2);
});

test('asked again by one who does not: everything, without marks', () => {
  const { up, refresh } = tableOfNeighbours();
  const ear = up('2');
  ear.heard.length = 0;
  refresh('2', 'request');
  assert.deepEqual(ear.heard, [OWN_BLOCK]);
});

test('asked again before the End-of-RIB: no begin, as it would be ignored', () => {
  const { join, refresh } = tableOfNeighbours();
  const ear = join('2', { enhancedRefresh: true });
  refresh('2', 'request');
  assert.equal(ear.heard.at(-1), 'end of RIB');
  assert.deepEqual(
    ear.heard.filter((word) => /^(begin|end) \d/.test(word)),
    [],
  );
});

test('a slow peer hears the end when it has read all', () => {
  const { up, slow, say, refresh, work } = tableOfNeighbours();
  up('1');
  say('1', A);
  const ear = up('2', { enhancedRefresh: true });
  slow.add('2');
  refresh('2', 'request');
  say('1', B);
  assert(!ear.heard.includes('end 4'));
  slow.clear();
  work();
  assert.equal(ear.heard.at(-1), 'end 4');
  assert.equal(ear.routes.size, 3);
});

test('a peer tells again: what it leaves out is gone at the end, not before', () => {
  const { up, say, sayEnd, refresh, learned } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A, B);
  sayEnd('1');
  refresh('1', 'begin');
  say('1', B);
  assert.equal(learned(), `${A} ${B}`);
  refresh('1', 'end');
  assert.equal(learned(), B);
});

test('a begin before the End-of-RIB and an end without a begin are ignored', () => {
  const { up, say, sayEnd, down, refresh, learned } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A, B);
  refresh('1', 'begin');
  refresh('1', 'end');
  assert.equal(learned(), `${A} ${B}`);
  sayEnd('1');
  down('1');
  up('1', { gracefulRestart: GRACEFUL });
  refresh('1', 'end');
  assert.equal(learned(), `${A} ${B}`, 'stale since its restart, until its End-of-RIB');
  say('1', A);
  sayEnd('1');
  assert.equal(learned(), A);
});

test('a refresh that never ends is ended, and one cut short by a restart leaves the restart to decide', () => {
  const { up, say, sayEnd, down, refresh, learned, clock, table, work } = tableOfNeighbours();
  up('1');
  say('1', A, B);
  refresh('1', 'begin');
  say('1', A);
  assert.equal(table.nextDeadline, REFRESH_MS);
  clock.now = REFRESH_MS;
  work();
  assert.equal(learned(), A);
  up('2', { gracefulRestart: GRACEFUL });
  say('2', B);
  sayEnd('2');
  refresh('2', 'begin');
  down('2');
  up('2', { gracefulRestart: GRACEFUL });
  assert.equal(table.nextDeadline, clock.now + GRACEFUL.restartSeconds * 1000);
  assert.equal(learned(), `${A} ${B}`);
});
