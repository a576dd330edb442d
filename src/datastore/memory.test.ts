import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryStore } from './memory.ts';
import { storeCases } from './store.cases.ts';

storeCases('memory', memoryStore);

test('memory: faults on demand', async () => {
  const store = memoryStore();
  store.failNext('transaction', 'lostReply');
  await assert.rejects(store.transaction([], [{ kind: 'put', key: 'a', value: '1' }]), /lost/);
  assert.equal((await store.get('a'))?.value, '1');
  store.failNext('get');
  await assert.rejects(store.get('a'), /unreachable/);
});
