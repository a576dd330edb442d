// The search over paths of every width, and what nodes ask one another.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { answer, question, readProbe } from './probe-message.ts';
import { SMALLEST_BYTES, searchPath } from './search.ts';

test('the largest packet that passes is found, in few questions', async () => {
  const size = fc.integer({ min: 100, max: 9100 });
  await fc.assert(
    fc.asyncProperty(size, size, async (width, needed) => {
      let questions = 0;
      const verdict = await searchPath(needed, async (octets) => {
        questions++;
        assert.ok(octets <= needed);
        return octets <= width;
      });
      if (width >= needed) assert.deepEqual(verdict, { kind: 'whole' });
      else if (width < SMALLEST_BYTES || needed <= SMALLEST_BYTES)
        assert.deepEqual(verdict, { kind: 'silent' });
      else assert.deepEqual(verdict, { kind: 'narrow', largest: width });
      assert.ok(questions <= (verdict.kind === 'whole' ? 1 : 2 + Math.ceil(Math.log2(needed))));
    }),
  );
});

test('a question fills the packet, an answer never does; anything else is none', () => {
  const token = 0xffff_ffff_ffff_fffen;
  assert.equal(question(token, 1500).length + 28, 1500);
  assert.ok(answer(token).length <= question(token, 1).length);
  assert.deepEqual(readProbe(question(token, 1500)), { kind: 'question', token });
  assert.deepEqual(readProbe(answer(token)), { kind: 'answer', token });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const read = readProbe(Buffer.from(bytes));
      assert.equal(read, undefined);
    }),
  );
  const wrong = question(token, 600);
  wrong.writeUInt8(3, 4);
  assert.equal(readProbe(wrong), undefined);
  assert.equal(readProbe(answer(token).subarray(0, 15)), undefined);
});
