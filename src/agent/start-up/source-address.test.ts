import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceAddressTowards } from './source-address.io.ts';

test('the loopback is reached from the loopback', async () => {
  assert.deepEqual(await sourceAddressTowards('127.0.0.1', 4), { ok: true, value: '127.0.0.1' });
});

test('an address of another family is refused, not thrown', async () => {
  assert.ok(!(await sourceAddressTowards('::1', 4)).ok);
});
