import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceOf, serviceText, sliceOf, sliceText } from './kept.ts';

test('a list that the API server sends as null is absent', () => {
  const metadata = { name: 'a-x1', namespace: 'n', labels: { 'kubernetes.io/service-name': 'a' } };
  const slice = { metadata, addressType: 'IPv4', endpoints: null, ports: null };
  assert.deepEqual(sliceOf(sliceText(slice)), { metadata, addressType: 'IPv4' });
  const inside = {
    metadata,
    endpoints: [{ addresses: null, hints: null }],
    ports: [{ port: null }],
  };
  assert.deepEqual(sliceOf(sliceText(inside)), { metadata, endpoints: [{}], ports: [{}] });
  const service = {
    metadata: { name: 'a' },
    spec: { ports: null, clusterIPs: null },
    status: null,
  };
  assert.deepEqual(serviceOf(serviceText(service)), { metadata: { name: 'a' }, spec: {} });
});

test('a text that speaks of null stays', () => {
  const metadata = { name: 'a', labels: { 'kubernetes.io/service-name': 'x:null' } };
  assert.deepEqual(sliceOf(sliceText({ metadata })), { metadata });
});
