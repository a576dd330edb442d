import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidr } from '../../net/cidr.ts';
import { assignOne, emptyBlock, releaseHandle } from '../block.ts';
import { RestHistory } from './rest-history.ts';

const at = (seconds: number) => ({ now: new Date(seconds * 1000), seconds: 60 });

const empty = emptyBlock({
  cidr: cidr('10.0.0.0/31'),
  owner: 'host:a',
  claimedAt: '2026-01-01T00:00:00Z',
  sequenceNumber: 1n,
});
const held = (handle_id: string) => assignOne(empty, { handle_id, secondary: {} }).block;
const resting = releaseHandle(held('n.1'), 'n.1', at(0))!.block;

test('I8: an address that rested at the look before is somebody’s too early; said while it lasts', () => {
  const history = new RestHistory();
  assert.deepEqual(history.look([resting], at(10)), []);
  const wrong = ["I8: 10.0.0.0 rested at the look before and is n.2's"];
  assert.deepEqual(history.look([held('n.2')], at(40)), wrong);
  assert.deepEqual(history.look([held('n.2')], at(200)), wrong);
  assert.deepEqual(history.look([held('n.3')], at(230)), []);
});

test('after its rest, or by a clock that differs a little, an address may be given', () => {
  for (const later of [60, 56]) {
    const history = new RestHistory();
    history.look([resting], at(10));
    assert.deepEqual(history.look([held('n.2')], at(later)), [], `${later} s`);
  }
  const history = new RestHistory();
  history.look([resting], at(10));
  assert.deepEqual(history.look([held('n.2')], { now: new Date(20_000), seconds: 0 }), []);
});
