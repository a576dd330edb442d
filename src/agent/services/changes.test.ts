import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WholeObject } from '../../kubernetes/api.ts';
import { PendingChanges } from './changes.ts';

const slice = (addressType: string, at?: string): WholeObject =>
  ({
    metadata: {
      name: 's',
      ...(at ? { annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': at } } : {}),
    },
    addressType,
  }) as WholeObject;

test('changes are counted until a round has written them; one that fails gives them back', () => {
  const start = Date.parse('2026-01-01T00:00:00Z');
  const changes = new PendingChanges(start);
  changes.add('endpoints', [slice('IPv4', '2025-12-31T23:59:59Z'), slice('IPv6')], 5, start);
  changes.add('endpoints', [slice('IPv6', '2026-01-01T00:00:01.5Z')], 6, start);
  changes.add('services', [slice('')], 7, start + 9);
  const taken = changes.take();
  const triggers = [{ family: 6, at: start + 1500 }];
  assert.deepEqual(taken, { since: 5, services: 1, endpoints: 3, triggers });
  assert.deepEqual(changes.pending, { since: undefined, services: 0, endpoints: 0, triggers: [] });
  changes.add('node', [], 8, start + 10);
  changes.putBack(taken);
  assert.deepEqual(changes.pending, taken);
  assert.deepEqual(changes.total, { services: 1, endpoints: 3 });
  assert.equal(changes.lastAt, start + 10);
});
