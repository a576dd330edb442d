import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isIgnored } from './ignored.ts';

test('patterns of interface names mean what the regular expression means', () => {
  const letters = fc.stringMatching(/^[ab*]{0,6}$/);
  fc.assert(
    fc.property(letters, fc.stringMatching(/^[ab]{0,8}$/), (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
      assert.equal(isIgnored([pattern], name), expression.test(name));
    }),
  );
});

test('one of several; a dot is a dot', () => {
  assert.equal(isIgnored(['docker*', 'eth1'], 'docker0'), true);
  assert.equal(isIgnored(['docker*', 'eth1'], 'eth10'), false);
  assert.equal(isIgnored(['eth.1'], 'eth01'), false);
  assert.equal(isIgnored([], 'eth0'), false);
});
