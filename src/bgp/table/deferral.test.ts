// After a restart: nothing is decided or told before all peers have told all (RFC 4724 section 4.1).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENCE_MS, DEFERRAL_MS } from './deferral.ts';
import { GRACEFUL, OWN_BLOCK, tableOfNeighbours } from './neighbour.cases.ts';

const [A, B] = ['192.168.1.0/26', '192.168.2.0/26'];

/** A speaker that has just restarted and waits for peers 1 to 3. */
function restarted() {
  const made = tableOfNeighbours();
  const peers = ['1', '2', '3'].map((key) => ({ key, families: [4] as const }));
  made.table.defer(peers, 0);
  return { ...made, upGraceful: (key: string) => made.up(key, { gracefulRestart: GRACEFUL }) };
}

test('a reflector tells its clients nothing, no End-of-RIB either, before the last one has told all', () => {
  const { upGraceful, say, sayEnd, learned, table } = restarted();
  const ears = ['1', '2', '3'].map(upGraceful);
  say('1', A);
  sayEnd('1');
  say('2', B);
  sayEnd('2');
  assert.deepEqual([learned(), ...ears.map(({ heard }) => heard.join())], ['', '', '', '']);
  assert.deepEqual(table.deferred, [4]);
  sayEnd('3');
  assert.deepEqual(table.deferred, []);
  assert.equal(learned(), `${A} ${B}`);
  assert.deepEqual(ears[2]!.heard.slice(0, -1).toSorted(), [A, B, OWN_BLOCK]);
  for (const ear of ears) assert.equal(ear.heard.at(-1), 'end of RIB');
});

test('not waited for: who restarts too, who knows no restart, whom nobody wants any more', () => {
  const { up, table, learned, say, work } = restarted();
  up('1', { gracefulRestart: { ...GRACEFUL, restarting: true } });
  say('1', A);
  up('2');
  assert.equal(learned(), '');
  table.removePeer('3');
  work();
  assert.equal(learned(), A);
});

test('who is away is waited for only shortly, also when he was up for a moment', () => {
  const { upGraceful, up, down, table, clock, work, learned, say, sayEnd } = restarted();
  upGraceful('1');
  say('1', A);
  sayEnd('1');
  upGraceful('2');
  down('2');
  assert.equal(table.nextDeadline, ABSENCE_MS);
  clock.now = ABSENCE_MS - 1;
  work();
  assert.equal(learned(), '');
  clock.now = ABSENCE_MS;
  work();
  assert.equal(learned(), A);
  up('3');
  say('3', B);
  assert.equal(learned(), `${A} ${B}`, 'it comes later, and is heard at once');
});

test('who is up and never ends holds nobody up for longer than the timer', () => {
  const { upGraceful, clock, work, learned, say, table } = restarted();
  for (const key of ['1', '2', '3']) upGraceful(key);
  say('1', A);
  assert.equal(table.nextDeadline, DEFERRAL_MS);
  clock.now = DEFERRAL_MS;
  work();
  assert.equal(learned(), A);
});

test('without a restart nothing is deferred', () => {
  const { up, say, learned } = tableOfNeighbours();
  up('1', { gracefulRestart: GRACEFUL });
  say('1', A);
  assert.equal(learned(), A);
});
