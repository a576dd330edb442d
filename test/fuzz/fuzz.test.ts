import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';
import { resetVerdict } from './oracle.ts';

test('a slice of damaged BGP messages: nothing throws, only what RFC 7606 names ends a session', () => {
  const { messages, ends, resets, violations } = fuzz(1, (done) => done < 100_000);
  assert.deepEqual(violations, []);
  assert(messages >= 100_000 && ends > 0 && resets > 0);
});

test('the oracle knows both: lengths that contradict one another, and what is survived', () => {
  const verdict = (hex: string) => resetVerdict(Buffer.from(hex, 'hex'), { addPath: false });
  assert.equal(verdict('00ff0000'), 'must');
  assert.equal(verdict('000000034063001a0a000000'), 'must');
  assert.equal(verdict('0000000440010109180a0000'), 'never');
  assert.equal(verdict('0000000440010109'), 'may');
});
