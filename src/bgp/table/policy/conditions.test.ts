import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localPrefOf, preferenceOf, priorityOf } from './conditions.ts';

test('priorities: elevated above the usual LOCAL_PREF, normal as it, all others just below', () => {
  const order = [
    localPrefOf(1),
    localPrefOf(512),
    200,
    100,
    localPrefOf(1025),
    localPrefOf(1e9),
    99,
  ];
  const preferences = order.map((localPref) => preferenceOf(localPref, 1024));
  assert.deepEqual(
    preferences.toSorted((a, b) => b - a),
    preferences,
  );
  assert.equal(new Set(preferences).size, order.length);
  assert.equal(preferenceOf(localPrefOf(1024), 1024), 100, 'as Calico tells it');
  assert.equal(preferenceOf(localPrefOf(2000), 2000), 100, 'as configured');
  assert.equal(preferenceOf(4_294_967_295, 1024), 4_294_967_295);
});

test('priorities: read back as they were set; 100 is whatever is normal', () => {
  for (const priority of [1, 512, 1024, 2_147_483_646])
    assert.equal(priorityOf(localPrefOf(priority), 1024), priority);
  assert.equal(priorityOf(100, 1024), 1024);
  assert.equal(priorityOf(100, 2000), 2000);
});
