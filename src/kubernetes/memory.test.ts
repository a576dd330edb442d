import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiCases } from './api.cases.ts';
import { memoryKubernetes } from './memory.ts';

apiCases('memory', () => {
  const api = memoryKubernetes();
  return { api, put: api.put, remove: api.remove };
});

test('memory: VMs', async () => {
  const api = memoryKubernetes();
  api.machines.add('x/db');
  assert.deepEqual(await Promise.all([api.hasMachine('x', 'db'), api.hasMachine('y', 'db')]), [
    true,
    false,
  ]);
});

test('memory: unreachable on demand', async () => {
  const api = memoryKubernetes();
  api.setUnreachable(true);
  await assert.rejects(api.getNode('n1'), /cannot be reached/);
});
