import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Authorities, bundleOf, turnOf } from './authority.ts';

const current = { certificate: 'A\n', key: 'a' };
const next = { certificate: 'B\n', key: 'b' };
const steady: Authorities = { current, since: 0, asked: '' };
const turn = (authorities: Authorities, wanted: string, now: number, ...startedAt: number[]) =>
  turnOf(authorities, {
    wanted,
    now,
    settleMilliseconds: 300_000,
    members: startedAt.map((at, i) => ({ name: `m${i}`, startedAt: at })),
  });

test('nothing happens unasked', () => {
  assert.deepEqual(turn(steady, '', 1e9), { kind: 'none' });
  assert.deepEqual(turn({ ...steady, asked: '2' }, '2', 1e9), { kind: 'none' });
  assert.deepEqual(turn(steady, '2', 1e9), { kind: 'begin' });
});

test('the next one signs only once every member has started since, and pods had time', () => {
  const begun: Authorities = { current, next, since: 1_000_000, asked: '2' };
  assert.match((turn(begun, '2', 1_100_000, 1_050_000) as { why: string }).why, /200 s more/);
  const late = turn(begun, '2', 2_000_000, 1_050_000, 900_000);
  assert.match((late as { why: string }).why, /^m1 must restart first/);
  assert.deepEqual(turn(begun, '2', 2_000_000, 1_050_000, 1_060_000), { kind: 'change' });
  assert.equal(bundleOf(begun), 'A\nB\n');
});

test('the former one goes after a while; until then no other change begins', () => {
  const changed: Authorities = { current: next, former: 'A\n', since: 1_000_000, asked: '2' };
  assert.equal(turn(changed, '3', 1_100_000, 0).kind, 'wait');
  assert.deepEqual(turn(changed, '3', 2_000_000, 0), { kind: 'end' });
  assert.equal(bundleOf(changed), 'B\nA\n');
});
