import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { TxnRequestSchema } from './gen/etcd_pb.js';
import type { Compare, Write } from './store.ts';
import { encodeTransaction } from './transaction.ts';

const EQUAL = 0;
const MOD = 2;

function byLibrary(compares: readonly Compare[], writes: readonly Write[]): Uint8Array {
  const request = create(TxnRequestSchema, {
    compare: compares.map(({ key, revision }) => ({
      key: Buffer.from(key),
      target: MOD,
      result: EQUAL,
      targetUnion: { case: 'modRevision' as const, value: revision },
    })),
    success: writes.map((write) =>
      write.kind === 'put'
        ? {
            request: {
              case: 'requestPut' as const,
              value: { key: Buffer.from(write.key), value: Buffer.from(write.value) },
            },
          }
        : {
            request: {
              case: 'requestDeleteRange' as const,
              value: { key: Buffer.from(write.key) },
            },
          },
    ),
    failure: compares.map(({ key }) => ({
      request: { case: 'requestRange' as const, value: { key: Buffer.from(key) } },
    })),
  });
  return toBinary(TxnRequestSchema, request);
}

test('a transaction is encoded byte for byte as the protobuf library does it', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.integer({ min: 0, max: 40_000 }).map((length) => 'ü'.repeat(length)),
  );
  const revision = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
  const compares = fc.array(fc.record({ key: text, revision }), { maxLength: 5 });
  const put = fc.record({ kind: fc.constant('put' as const), key: text, value: text });
  const remove = fc.record({ kind: fc.constant('delete' as const), key: text });
  const writes = fc.array(fc.oneof(put, remove), { maxLength: 5 });
  fc.assert(
    fc.property(compares, writes, (if_, then) => {
      const ours = encodeTransaction(if_, then);
      assert.ok(ours.equals(byLibrary(if_, then)), ours.toString('hex').slice(0, 200));
    }),
  );
});
