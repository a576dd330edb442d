import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage } from '../bgp/codec/message.ts';
import { MessageCounter } from './messages.ts';

test('messages are counted by type, also when several stand in one piece', () => {
  const keepalive = encodeMessage({ kind: 'keepalive' }, { fourOctetAs: true });
  const update = new Uint8Array(23).fill(255, 0, 16);
  update.set([0, 23, 2, 0, 0, 0, 0], 16);
  const counter = new MessageCounter();
  counter.add(keepalive);
  counter.add(Buffer.concat([update, keepalive, update]));
  assert.deepEqual(counter.counts, {
    ...{ open: 0, update: 2, notification: 0, keepalive: 2, refresh: 0 },
  });
});

test('what is no message is passed over', () => {
  const counter = new MessageCounter();
  counter.add(new Uint8Array(5));
  counter.add(new Uint8Array(40));
  counter.add(new Uint8Array(19).fill(255));
  assert.ok(Object.values(counter.counts).every((count) => count === 0));
});
